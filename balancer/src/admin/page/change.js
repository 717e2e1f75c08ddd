// Changes: one dialog, in which a change is chosen, explained and confirmed; then the API is asked.

let changed = null;

/** Asks for one change; what was said, or an error with the reason. */
async function ask(method, path, content) {
  const answer = await fetch(path, {
    method, body: JSON.stringify(content), headers: { 'Content-Type': 'application/json' }, signal: AbortSignal.timeout(PATIENCE_MS),
  });
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.error);
  return said.done;
}

const field = (name) => document.querySelector(`#change input[name="${name}"]:checked`)?.value;
const check = (name, value) => (document.querySelector(`#change input[name="${name}"][value="${value}"]`).checked = true);

/** Opens for a server, or for the configuration without one. */
function openChange(server) {
  changed = server;
  const title = server ? `Change ${server.pool}/${server.name}` : 'Reload the configuration?';
  put(byId('change-title'), title);
  put(byId('change-now'), server ? `Now: ${server.state}, ${server.admin}, weight ${server.weight}, ${count(server.in_flight)} in flight.`
    : 'It is read again, as SIGHUP does. Connections stay. If anything in it is wrong, nothing changes.');
  for (const id of ['change-admin', 'change-weight']) byId(id).hidden = !server;
  put(byId('change-do'), server ? 'Apply' : 'Reload');
  put(byId('change-note'), server ? 'It lasts until the process ends, also over reloads.' : '');
  put(byId('change-warning'), '');
  byId('change-do').disabled = false;
  if (server) {
    check('admin', server.admin);
    check('weight', server.weight === server.configured_weight ? 'configured' : 'own');
    put(byId('change-configured'), String(server.configured_weight));
    byId('change-own').value = server.weight;
  }
  byId('change').showModal();
}

/** Says before it is done what would hurt. */
function warn() {
  const last = changed && field('admin') !== 'ready' && changed.admin === 'ready' && isLastUp(changed);
  put(byId('change-warning'), last ? 'It is the last server of its pool that works: clients will get 503.' : '');
}

/** What was chosen and differs from what is. */
function chosen() {
  if (!changed) return [['POST', 'reload', {}]];
  const path = `servers/${encodeURIComponent(changed.pool)}/${encodeURIComponent(changed.name)}`;
  const admin = field('admin');
  const weight = field('weight') === 'own' ? byId('change-own').valueAsNumber : null;
  const asks = [];
  if (Number.isNaN(weight)) throw new Error('The weight must be a number from 0 to 256.');
  if (weight !== changed.weight && (weight !== null || changed.weight !== changed.configured_weight)) asks.push(['PUT', `${path}/weight`, { weight }]);
  if (admin !== changed.admin) asks.push(['POST', `${path}/${{ ready: 'enable', drain: 'drain', maint: 'disable' }[admin]}`, {}]);
  return asks;
}

async function apply(event) {
  event.preventDefault();
  const button = byId('change-do');
  button.disabled = true;
  try {
    const said = [];
    for (const [method, path, content] of chosen()) said.push(await ask(method, path, content));
    byId('change').close();
    put(byId('said'), said.join('. '));
  } catch (error) {
    put(byId('change-warning'), error.name === 'TypeError' || error.name === 'TimeoutError' ? 'The balancer can\'t be reached.' : error.message);
  }
  button.disabled = false;
  turn();
}

byId('change').addEventListener('submit', apply);
byId('change').addEventListener('change', warn);
byId('change-own').addEventListener('input', () => check('weight', 'own'));
byId('change-cancel').addEventListener('click', () => byId('change').close());
byId('reload').addEventListener('click', () => openChange(null));
