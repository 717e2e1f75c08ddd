// The page's pulse: asks for the status, shows it, and says plainly when there is none.

const EVERY_MS = 2000;
const PATIENCE_MS = 5000;
const pools = new Map();
const states = new Map();
let status = null;
let since = 0;
let answeredAt = null;
let latest = 0;
let timer = 0;

/** One question. A newer one, after a change or on coming back, makes an older one's answer moot. */
async function turn() {
  clearTimeout(timer);
  const mine = ++latest;
  let next = null;
  let failure = null;
  try {
    const answer = await fetch(`status.json?since=${since}`, { cache: 'no-store', signal: AbortSignal.timeout(PATIENCE_MS) });
    if (!answer.ok) throw new Error(`it says ${answer.status}`);
    next = await answer.json();
  } catch (error) {
    failure = error;
  }
  if (mine !== latest) return;
  try {
    if (next) show(next);
  } catch (error) {
    failure = error;
  }
  if (failure) showUnreachable(failure);
  if (!document.hidden) timer = setTimeout(turn, EVERY_MS);
}

function show(next) {
  if (status && (next.balancer.started !== status.balancer.started || next.history.next < since)) {
    // Another process: nothing of the past is its own.
    for (const pool of pools.values()) pool.element.remove();
    [pools, states].forEach((map) => map.clear());
    [status, since] = [null, 0];
    return turn();
  }
  status = next;
  since = next.history.next;
  answeredAt = Date.now();
  document.body.classList.remove('stale');
  showLink('good', 'live');
  showHead(next);
  showTiles(next);
  showLanes(next.lanes);
  showBanners([
    next.balancer.is_draining && ['doubt', 'Draining. ', 'The balancer is ending: it finishes what it has.'],
    next.balancer.reload_error && ['bad', 'The last reload was refused. ', `${next.balancer.reload_error} The configuration before it stays in use.`],
  ]);
  showPools(next);
  announce(next);
}

function showUnreachable(error) {
  document.body.classList.add('stale');
  showLink('bad', 'unreachable');
  const age = answeredAt === null ? 'It never answered this page.' : `What is shown is ${span((Date.now() - answeredAt) / 1000)} old.`;
  const why = error.name === 'TimeoutError' ? 'no answer in time' : error.name === 'TypeError' ? 'no connection' : error.message;
  showBanners([['bad', 'The balancer can\'t be reached. ', `${age} Asked again every ${EVERY_MS / 1000} s (${why}).`]]);
  put(byId('headline'), 'Not reachable');
  document.title = '✕ unreachable – corelane-balancer';
  showIcon('#b3261e');
}

function showLink(tone, text) {
  put(byId('link'), text);
  dress(byId('link'), `badge ${tone}`);
}

function showIcon(colour) {
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="7" fill="${colour}"/></svg>`;
  const address = `data:image/svg+xml,${encodeURIComponent(svg)}`;
  if (byId('icon').href !== address) byId('icon').href = address;
}

/** Each a tone, a title and a text. Untouched if the same are there, so that they are read aloud once. */
function showBanners(wanted) {
  const list = wanted.filter(Boolean);
  const key = JSON.stringify(list.map(([tone, title, text]) => [tone, title, text.replace(/\d+/g, '')]));
  const area = byId('banners');
  if (area.dataset.key === key) return list.forEach(([, , text], n) => put(area.children[n].lastChild, text));
  area.dataset.key = key;
  area.replaceChildren(...list.map(([tone, title, text]) => make('p', `banner ${tone === 'doubt' ? tone : ''}`, make('b', '', title), make('span', '', text))));
}

const servers = (from) => from.pools.flatMap((pool) => pool.servers);
const works = (server) => server.admin === 'ready' && (server.state === 'up' || server.state === 'rising');
const isLastUp = (server) => {
  const pool = status.pools.find((pool) => pool.name === server.pool);
  return works(server) && pool.servers.filter(works).length === 1;
};

function showHead({ balancer, pools }) {
  const all = pools.flatMap((pool) => pool.servers);
  const up = all.filter(works).length;
  const calm = up === all.length;
  put(byId('headline'), calm ? `All ${plural(up, 'server', 'servers')} up`.replace('All 1 ', 'The ') : `${up} of ${plural(all.length, 'server', 'servers')} up`);
  put(byId('about'), `up for ${span(balancer.uptime_seconds)} · configuration ${balancer.generation + 1} · engine ${balancer.engine}`);
  byId('about').title = `since ${new Date(balancer.started * 1000).toLocaleString()}`;
  put(byId('version'), `corelane-balancer ${balancer.version}`);
  document.title = `${calm ? '' : `${all.length - up} out – `}${up}/${all.length} up – corelane-balancer`;
  showIcon(calm ? '#1c7a4a' : '#b3261e');
}

function showTiles({ totals }) {
  const faults = Object.entries(totals.faults).sort(([, a], [, b]) => b - a);
  const sum = faults.reduce((sum, [, number]) => sum + number, 0);
  const tiles = [
    ['Requests', `${rate(totals.requests_per_second)}/s`, `${count(totals.active)} under way`],
    ['Queued', count(totals.queued), totals.queued ? 'wait for a place' : ''],
    ['Faults, last minute', count(sum), sum ? `most: ${faults[0][0]}` : 'none'],
    ['Retries, last minute', count(totals.retries), `${count(totals.retries_refused)} refused by budget`],
    ['Clients', count(totals.front_connections), 'connections open'],
    ['Tunnels', count(totals.tunnels), totals.log_dropped ? `${count(totals.log_dropped)} log lines dropped` : ''],
  ];
  const area = byId('tiles');
  if (!area.children.length) area.append(...tiles.map(() => make('div', '', make('dt'), make('dd'), make('dd'))));
  tiles.forEach((texts, n) => texts.forEach((text, at) => put(area.children[n].children[at], text)));
  put(byId('faults'), faults.length ? `Ended otherwise than by a whole response, last minute: ${faults.map(([name, number]) => `${name} ${count(number)}`).join(', ')}` : '');
}

function showLanes(lanes) {
  const area = byId('lanes');
  if (area.children.length !== lanes.length) {
    area.replaceChildren(...lanes.map(() => make('li', '', make('span'), make('b', 'meter', make('i')), make('span'))));
  }
  lanes.forEach((lane, n) => {
    const [name, meter, part] = area.children[n].children;
    put(name, `lane ${lane.lane}` + (lane.core === null ? '' : ` on core ${lane.core}`));
    meter.firstChild.style.width = `${100 * (lane.share ?? 0)}%`;
    put(part, `${share(lane.share)}, ${rate(lane.requests_per_second)}/s`);
  });
}

function showPools(next) {
  const gone = new Set(pools.keys());
  for (const pool of next.pools) {
    gone.delete(pool.name);
    if (!pools.has(pool.name)) {
      pools.set(pool.name, new PoolView(pool.name, openChange));
      byId('pools').append(pools.get(pool.name).element);
    }
    pools.get(pool.name).update(pool, next.history);
  }
  for (const name of gone) {
    pools.get(name).element.remove();
    pools.delete(name);
  }
  byId('filter').hidden = servers(next).length <= 8;
}

/** For ears: what changed its state. */
function announce(next) {
  const said = [];
  for (const server of servers(next)) {
    const key = `${server.pool}/${server.name}`;
    const state = server.admin === 'ready' ? server.state : `${server.state}, ${server.admin}`;
    if (states.has(key) && states.get(key) !== state) said.push(`${key} is ${state}`);
    states.set(key, state);
  }
  if (said.length) put(byId('said'), said.join('. '));
}

byId('only').addEventListener('change', (event) => document.body.classList.toggle('only', event.target.checked));
// Nobody looks: nothing is asked. What was missed, the history brings.
document.addEventListener('visibilitychange', () => (document.hidden ? clearTimeout(timer) : turn()));
turn();
