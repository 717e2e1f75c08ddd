// Pools and their servers: built once, then only told what changed, so that focus, selection and open tips stay.

const COLUMNS = ['State', 'Server', 'In flight', 'Requests', 'p50, p99', 'Connections', 'Last check'];

class Row {
  constructor(server, onChange) {
    this.state = make('span');
    this.admin = make('span');
    this.since = make('span', 'soft');
    const name = make('th', '', make('span', 'name', server.name));
    name.scope = 'row';
    if (server.address !== server.name) name.append(make('span', 'mono soft', server.address));
    this.meter = make('i');
    this.bar = make('b', 'meter', this.meter);
    this.heat = new Heat(`Latencies of ${server.pool}/${server.name}`);
    this.button = make('button', '', 'Change');
    this.button.type = 'button';
    this.button.setAttribute('aria-label', `Change ${server.pool}/${server.name}`);
    this.button.addEventListener('click', () => onChange(this.server));
    this.pairs = {};
    const pair = (key, column) => {
      this.pairs[key] = [make('span'), make('span', 'soft')];
      const cell = make('td', 'num', ...this.pairs[key]);
      cell.dataset.name = COLUMNS[column];
      return cell;
    };
    const state = make('td', 'num', this.state, this.admin, this.since);
    const cells = [pair('flight', 2), pair('rate', 3), pair('latency', 4), pair('connections', 5), pair('check', 6)];
    cells[4].className = 'check';
    this.why = make('td');
    this.why.colSpan = COLUMNS.length - 1;
    this.whyRow = make('tr', 'why', make('td'), this.why);
    const map = make('td', 'heat', this.heat.element);
    map.dataset.name = 'Latencies, last 10 minutes';
    const act = make('td', 'act', this.button);
    // The reason stands beside the map, not below it.
    map.rowSpan = act.rowSpan = 2;
    this.element = make('tbody', '', make('tr', '', state, name, ...cells, map, act), this.whyRow);
  }

  set(key, value, note, tone = '') {
    const [first, second] = this.pairs[key];
    put(first, value);
    put(second, note);
    dress(second, `soft ${tone}`.trim());
  }

  /** True if its heat map has to be painted. */
  update(server, history) {
    this.server = server;
    showState(this.state, server.state);
    this.admin.hidden = server.admin === 'ready';
    showState(this.admin, server.admin);
    put(this.since, server.state_seconds < 5 ? 'just now' : `for ${span(server.state_seconds)}`);
    this.since.title = `since ${new Date(server.since * 1000).toLocaleString()}`;
    this.flight(server);
    const failed = server.error_share > 0 || server.errors_per_second > 0;
    const now = server.errors_per_second > 0 ? ` ${rate(server.errors_per_second)}/s,` : '';
    const errors = failed ? `errors${now} ${share(server.error_share)}` : 'no errors';
    this.set('rate', `${rate(server.requests_per_second)}/s`, server.error_share === null && !failed ? '' : errors, failed ? 'bad' : '');
    this.set('latency', latency(server.p50_seconds), `p99 ${latency(server.p99_seconds)}`);
    this.set('connections', `${count(server.connections_open)} open, ${count(server.connections_idle)} idle`,
      server.reuse_share === null ? '' : `${share(server.reuse_share)} reused`);
    this.check(server.check);
    this.explain(server);
    this.element.classList.toggle('calm', server.state === 'up' && server.admin === 'ready' && !failed);
    return this.heat.add(server.heat, history);
  }

  flight(server) {
    const limit = server.limit === null ? '' : ` of ${count(server.limit)}`;
    const weight = server.weight === server.configured_weight ? `weight ${server.weight}` : `weight ${server.weight}, not ${server.configured_weight}`;
    const now = Math.round(server.effective_weight * 10) / 10;
    const note = now === server.weight ? weight : `${weight}, gets ${now}`;
    this.set('flight', count(server.in_flight) + limit, note);
    if (server.limit) {
      this.meter.style.width = `${Math.min(100, (100 * server.in_flight) / server.limit)}%`;
      this.bar.classList.toggle('full', server.in_flight >= server.limit);
      if (!this.bar.isConnected || this.bar.parentNode !== this.pairs.flight[0]) this.pairs.flight[0].append(this.bar);
    }
  }

  check(check) {
    if (!check) return this.set('check', 'none', '');
    this.set('check', check.said, `${latency(check.took_seconds)}, ${span(check.age_seconds)} ago`);
    dress(this.pairs.check[0], check.is_good ? '' : 'bad');
    this.pairs.check[0].title = check.said;
  }

  /** `down for 3 min: 3 checks in a row failed: connection refused`. Of one that is up for long, nothing. */
  explain(server) {
    this.whyRow.hidden = !server.why || (server.state === 'up' && server.state_seconds >= 3600);
    const until = server.until_seconds === null ? '' : `; tried again in ${span(server.until_seconds)}`;
    put(this.why, `${server.state} for ${span(server.state_seconds)}: ${server.why}${until}`);
  }
}

class PoolView {
  constructor(name, onChange) {
    this.onChange = onChange;
    this.rows = new Map();
    this.about = make('p', 'sub');
    this.banner = make('p', 'banner doubt', make('b', '', 'Failing open. '),
      'Too few servers of this pool work, so that all of them get requests as if they did.');
    this.most = make('span');
    const ramp = make('span', 'ramp', ...Array.from({ length: SHADES }, (_, n) => make('i', `k${n + 1}`)));
    const head = (text) => Object.assign(make('th', '', text), { scope: 'col' });
    this.key = make('span', '', 'Answers: 1', ramp, this.most);
    const last = make('th', '', make('span', 'unseen', 'Actions'));
    this.table = make('table', '', make('thead', '', make('tr', '', ...COLUMNS.map(head), head(this.key), last)));
    this.element = make('section', 'pool', make('div', '', make('h2', '', name), this.about), this.banner, this.table);
    this.element.setAttribute('aria-label', `Pool ${name}`);
  }

  update(pool, history) {
    const up = `${pool.servers_up} of ${pool.servers.length} up`;
    put(this.about, [pool.balance, up, `${count(pool.in_flight)} in flight`, `${rate(pool.requests_per_second)} requests/s`,
      `errors ${share(pool.error_share)}`, `p50 ${latency(pool.p50_seconds)}`, `p99 ${latency(pool.p99_seconds)}`].join(' · '));
    this.banner.hidden = !pool.is_failing_open;
    let changed = false;
    const gone = new Set(this.rows.keys());
    for (const server of pool.servers) {
      // A server whose address changed is another.
      const key = `${server.name}\n${server.address}`;
      gone.delete(key);
      if (!this.rows.has(key)) this.rows.set(key, new Row(server, this.onChange));
      const row = this.rows.get(key);
      const isNew = row.element.parentNode !== this.table;
      if (isNew) this.table.append(row.element);
      changed = row.update(server, history) || isNew || changed;
    }
    for (const key of gone) {
      this.rows.get(key).element.remove();
      this.rows.delete(key);
    }
    if (changed || gone.size) {
      const most = paintAll([...this.rows.values()].map((row) => row.heat));
      put(this.most, count(most));
      this.key.hidden = most === 0;
    }
  }
}
