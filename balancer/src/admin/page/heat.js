// Heat maps: a column for each sample, a row for each octave of latency (octave n ends at 2^n µs), darker for more answers.

const SHADES = 8;
/** Rows at least: a map of one row would look like a bar. */
const ROWS_MIN = 5;

/** The end of an octave, in seconds; the last of 28 takes the rest. */
const octaveEnd = (octave) => 2 ** octave / 1e6;
const octaveName = (octave) => (octave > 26 ? '>67 s' : latency(octaveEnd(octave)));

class Heat {
  constructor(label) {
    this.first = 0;
    this.columns = [];
    this.label = label;
    this.here = null;
    this.top = make('span');
    this.bottom = make('span');
    this.svg = draw('svg', { role: 'img', tabindex: '0', preserveAspectRatio: 'none' });
    this.element = make('div', 'map', this.top, this.bottom, this.svg);
    this.svg.addEventListener('pointermove', (event) => {
      const box = this.svg.getBoundingClientRect();
      this.point(Math.floor(((event.clientX - box.left) / box.width) * this.width));
    });
    for (const leave of ['pointerleave', 'blur']) this.svg.addEventListener(leave, () => this.point(null));
    this.svg.addEventListener('focus', () => this.svg.matches(':focus-visible') && this.point(this.width - 1));
    this.svg.addEventListener('keydown', (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (step) this.point(Math.min(this.width - 1, Math.max(0, (this.here ?? this.width) + step)));
      if (event.key === 'Escape') this.point(null);
      if (step) event.preventDefault();
    });
  }

  /** Takes what is new: columns from number `first` on. */
  add(heat, history) {
    const follows = heat.first === this.first + this.columns.length;
    if (follows) this.columns.push(...heat.columns);
    else if (heat.columns.length) [this.first, this.columns] = [heat.first, heat.columns];
    const over = Math.max(0, this.columns.length - history.columns_max);
    this.columns.splice(0, over);
    this.first += over;
    this.width = history.columns_max;
    this.seconds = history.column_seconds;
    return heat.columns.length > 0;
  }

  /** The octaves that have answers, and the most in a cell. */
  reach() {
    const reach = { low: Infinity, high: -Infinity, most: 0 };
    for (const column of this.columns.filter((column) => column.counts)) {
      reach.low = Math.min(reach.low, column.from);
      reach.high = Math.max(reach.high, column.from + column.counts.length - 1);
      reach.most = Math.max(reach.most, ...column.counts);
    }
    return reach;
  }

  /** Draws on the scale of all maps of a pool, so that they can be compared. */
  paint({ low, high, most }) {
    const rows = high - low + 1;
    // One row above for errors, one below for the state.
    const paths = {};
    const cell = (name, x, y, height) => (paths[name] = (paths[name] || '') + `M${x} ${y}h1v${height}h-1z`);
    this.columns.forEach((column, index) => {
      const x = this.width - this.columns.length + index;
      (column.counts || []).forEach((number, at) => {
        if (number > 0) cell(`h${shade(number, most)}`, x, high - column.from - at + 1, 1);
      });
      if (column.falls) cell('m-fell', x, 0, rows + 2);
      if (column.failed) cell('m-failed', x, 0, 0.8);
      if (column.state) cell(`m-${column.state}`, x, rows + 1.2, 0.8);
    });
    this.svg.setAttribute('viewBox', `0 0 ${this.width} ${rows + 2}`);
    this.pointer = draw('path', { class: 'm-here' });
    this.height = rows + 2;
    this.svg.replaceChildren(...Object.entries(paths).map(([name, d]) => draw('path', { class: name, d })), this.pointer);
    put(this.top, most ? octaveName(high) : '');
    put(this.bottom, most ? octaveName(low - 1) : '');
    this.element.classList.toggle('empty', most === 0);
    this.svg.setAttribute('aria-label', `${this.label}: ${this.summary()}`);
    this.point(this.here);
  }

  summary() {
    const sum = (name) => this.columns.reduce((sum, column) => sum + (column[name] || 0), 0);
    const answers = this.columns.reduce((sum, column) => sum + total(column), 0);
    return `${plural(answers, 'answer', 'answers')} in the last ${span(this.columns.length * this.seconds)}, ` +
      `${plural(sum('failed'), 'error', 'errors')}, taken out ${plural(sum('falls'), 'time', 'times')}`;
  }

  /** Shows what a column says; `null`: nothing. */
  point(x) {
    const tip = byId('tip');
    const column = x === null ? undefined : this.columns[x - this.width + this.columns.length];
    if (this.here !== null && !column) tip.hidden = true;
    this.here = column ? x : null;
    this.pointer.setAttribute('d', column ? `M${x} 0h1v${this.height}h-1z` : '');
    if (!column) return;
    put(tip, this.say(column, (this.width - x) * this.seconds));
    tip.hidden = false;
    const box = this.svg.getBoundingClientRect();
    const middle = box.left + ((x + 0.5) / this.width) * box.width;
    tip.style.left = `${Math.max(6, Math.min(innerWidth - tip.offsetWidth - 6, middle - tip.offsetWidth / 2))}px`;
    tip.style.top = `${box.top > tip.offsetHeight + 8 ? box.top - tip.offsetHeight - 6 : box.bottom + 6}px`;
  }

  say(column, ago) {
    const answers = total(column);
    const lines = [`${clock(Date.now() / 1000 - ago)}, ${span(ago)} ago`, plural(answers, 'answer', 'answers')];
    if (answers) lines[1] += `: half within ${octaveName(quantile(column, 0.5))}, 99 % within ${octaveName(quantile(column, 0.99))}`;
    if (column.failed) lines.push(plural(column.failed, 'error', 'errors'));
    if (column.falls) lines.push(`taken out ${plural(column.falls, 'time', 'times')}`);
    if (column.state) lines.push(column.state);
    return lines.join('\n');
  }
}

const total = (column) => (column.counts || []).reduce((sum, number) => sum + number, 0);

/** The octave up to which a share of the answers lies. */
function quantile(column, part) {
  let left = Math.max(1, Math.ceil(total(column) * part));
  return column.from + column.counts.findIndex((number) => (left -= number) <= 0);
}

/** 1 for one answer, 8 for the most, by equal factors. */
function shade(number, most) {
  if (most <= 1 || number >= most) return SHADES;
  return Math.min(SHADES, 1 + Math.floor((Math.log(number) / Math.log(most)) * SHADES));
}

/** Paints all maps of a pool on one scale, and says the most in a cell. */
function paintAll(heats) {
  const all = heats.map((heat) => heat.reach());
  let low = Math.min(...all.map((reach) => reach.low));
  let high = Math.max(...all.map((reach) => reach.high));
  const most = Math.max(0, ...all.map((reach) => reach.most));
  if (!most) [low, high] = [10, 10];
  while (high - low + 1 < ROWS_MIN) {
    if (high < 27) high += 1;
    if (high - low + 1 < ROWS_MIN && low > 1) low -= 1;
  }
  heats.forEach((heat) => heat.paint({ low, high, most }));
  return most;
}
