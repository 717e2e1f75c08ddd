// Numbers as people read them, and the little that makes elements. Text reaches the page as text alone: nothing here takes markup.

const byId = (id) => document.getElementById(id);

/** An element with a class and children; strings become text. */
function make(tag, name, ...children) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  element.append(...children);
  return element;
}

/** An SVG element with attributes. */
function draw(tag, attributes) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

/** Sets text only where it changed: what is selected, focused or read aloud stays. */
function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function dress(element, name) {
  if (element.className !== name) element.className = name;
}

const DASH = '–';
const digits = (number, count) => number.toLocaleString('en', { minimumFractionDigits: count, maximumFractionDigits: count });

/** 1,234 and 12.3k. */
function count(number) {
  if (number < 10000) return digits(number, 0);
  const unit = number < 1e6 ? ['k', 1e3] : number < 1e9 ? ['M', 1e6] : ['G', 1e9];
  const value = number / unit[1];
  return digits(value, value < 100 ? 1 : 0) + unit[0];
}

function rate(number) {
  if (number === null) return DASH;
  return number > 0 && number < 10 ? digits(number, 1) : count(Math.round(number));
}

function share(part) {
  if (part === null) return DASH;
  if (part > 0 && part < 0.001) return '<0.1 %';
  return digits(part * 100, part === 0 || part === 1 ? 0 : 1) + ' %';
}

/** A span of time, in its two largest units. */
function span(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const [minutes, hours, days] = [Math.floor(whole / 60), Math.floor(whole / 3600), Math.floor(whole / 86400)];
  const two = (more, unit, less, smaller) => `${more} ${unit}` + (less ? ` ${less} ${smaller}` : '');
  if (days > 0) return two(days, 'd', hours % 24, 'h');
  if (hours > 0) return two(hours, 'h', minutes % 60, 'min');
  if (minutes > 0) return minutes < 10 ? two(minutes, 'min', whole % 60, 's') : `${minutes} min`;
  return `${whole} s`;
}

/** A latency with at most three digits: they are known to 6 %. */
function latency(seconds) {
  if (seconds === null) return DASH;
  const [value, unit] = seconds < 1e-3 ? [seconds * 1e6, 'µs'] : seconds < 1 ? [seconds * 1e3, 'ms'] : [seconds, 's'];
  return `${digits(value, value < 10 ? 1 : 0)} ${unit}`;
}

const plural = (number, one, many) => `${count(number)} ${number === 1 ? one : many}`;
const clock = (unix) => new Date(unix * 1000).toLocaleTimeString([], { hour12: false });

/** Each state has a shape and a tone: colour alone is not seen by all. */
const STATES = {
  up: ['good', 'M6 1a5 5 0 1 1 0 10a5 5 0 1 1 0-10z'],
  rising: ['doubt', 'M6 1l5.5 10H.5z'],
  probation: ['doubt', 'M6 0l6 6-6 6-6-6zM6 3l-3 3 3 3 3-3z'],
  ejected: ['bad', 'M6 0l6 6-6 6-6-6z'],
  down: ['bad', 'M2.4.6L6 4.2 9.6.6l1.8 1.8L7.8 6l3.6 3.6-1.8 1.8L6 7.8l-3.6 3.6L.6 9.6 4.2 6 .6 2.4z'],
  drain: ['doubt', 'M2 1h3v10H2zM7 1h3v10H7z'],
  maint: ['dim', 'M0 4.5h12v3H0z'],
};

/** A state as shape and word; `again` is the element of last time. */
function showState(element, word) {
  if (element.dataset.word === word) return;
  const [tone, shape] = STATES[word] || ['dim', ''];
  const svg = draw('svg', { viewBox: '0 0 12 12', 'aria-hidden': 'true' });
  svg.append(draw('path', { d: shape, 'fill-rule': 'evenodd' }));
  element.dataset.word = word;
  element.className = `state ${tone}`;
  element.replaceChildren(svg, word);
}
