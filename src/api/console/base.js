'use strict';
const byId = (id) => document.getElementById(id);
const KEY = 'tagcast-operator';
const RANGES = { second: 'last minute', minute: 'last hour', hour: 'last day' };
const CHARTS = [
  ['connections', 'Connections', ''], ['messages', 'Messages from clients', '/s'],
  ['deliveries', 'Deliveries', '/s'], ['missed', 'Missed deliveries', '/s'],
  ['cpu_percent', 'Processor, all processes', ' %'], ['resident_bytes', 'Memory, all processes', 'B'],
];
let token = sessionStorage.getItem(KEY) || '';
let me = null;
let applications = [];
/** Number of the screen that is shown: one that is still loading must not change a later one. */
let turn = 0;
let timer = 0;
let chosen = { application: '', expression: '' };
/** Ends what the present screen has begun. */
let leave = null;
/** Rows of publications that are kept. */
const LIVE_ROWS = 100;
/** Events that are kept: as many as the server keeps. */
const EVENT_ROWS = 1000;
const EVENT_KINDS = {
  ready: 'ready', process_exit: 'process exit', worker_replaced: 'worker replaced', reload: 'reload', drain: 'shutdown', memory: 'memory',
  refusals: 'refusals', rate_limited: 'rate limited', throttles: 'throttles', operator_change: 'operator',
};

/** Makes an element. Text is never parsed as HTML. */
function el(name, options = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(options)) {
    if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
    else if (key === 'class') node.className = value;
    else if (value === true) node.setAttribute(key, '');
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined).map((child) => (child instanceof Node ? child : String(child))));
  return node;
}

function number(value, unit = '') {
  if (value === null || value === undefined) return '–';
  if (unit === 'B') {
    const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
    let at = 0;
    while (value >= 1024 && at < units.length - 1) { value /= 1024; at += 1; }
    return `${value.toFixed(at && value < 100 ? 1 : 0)} ${units[at]}`;
  }
  const digits = value !== 0 && Math.abs(value) < 10 && !Number.isInteger(value) ? 2 : 0;
  return value.toLocaleString('en', { maximumFractionDigits: digits }) + unit;
}

function span(seconds) {
  const [days, hours, minutes] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min` : `${Math.floor(seconds)} s`;
}

const when = (unix) => (unix ? new Date(unix * 1000).toLocaleString('en-GB') : 'never');
const fail = (text) => { byId('failure').textContent = text || ''; byId('failure').hidden = !text; };

async function refusal(answer, path) {
  const json = await answer.json().catch(() => ({}));
  if (answer.status === 401 && path !== 'login') forget();
  return new Error(json.error ? `${json.error.message} (${json.error.code})` : `status ${answer.status}`);
}

async function request(method, path, body) {
  const options = { method, headers: { Authorization: `Bearer ${token}` }, cache: 'no-store' };
  if (body !== undefined) {
    options.headers['Content-Type'] = 'application/json';
    options.body = JSON.stringify(body);
  }
  const answer = await fetch(`/v1/server/${path}`, options);
  if (!answer.ok) throw await refusal(answer, path);
  return answer.json().catch(() => ({}));
}

/** Calls a function with the name and the data of each server-sent event, until the stream ends. */
async function events(path, signal, act) {
  const answer = await fetch(`/v1/server/${path}`, { headers: { Authorization: `Bearer ${token}` }, cache: 'no-store', signal });
  if (!answer.ok) throw await refusal(answer, path);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (text + value).split('\n\n');
    text = parts.pop();
    for (const part of parts) {
      const field = (name) => part.split('\n').filter((line) => line.startsWith(name)).map((line) => line.slice(name.length))[0];
      const data = field('data: ');
      if (data !== undefined) act(field('event: ') || '', JSON.parse(data));
    }
  }
}

const read = (path) => request('GET', path);
const ofApplication = (path) => `applications/${encodeURIComponent(chosen.application)}/${path}`;
const mayChange = () => me && me.role === 'operator';

function forget() {
  token = '';
  me = null;
  sessionStorage.removeItem(KEY);
  clearTimeout(timer);
  show();
}

/** Asks for a reason, and for a value if it has a first one; then does it. */
function ask(title, text, value, act) {
  byId('ask-title').textContent = title;
  byId('ask-text').textContent = text;
  byId('ask-value-label').hidden = value === null;
  byId('ask-value').value = value || '';
  byId('ask-reason').value = '';
  byId('ask-failure').textContent = '';
  byId('ask-form').onsubmit = async (event) => {
    event.preventDefault();
    const reason = byId('ask-reason').value.trim();
    if (!reason) {
      byId('ask-failure').textContent = 'Write a reason.';
      byId('ask-reason').focus();
      return;
    }
    byId('ask-yes').disabled = true;
    try {
      await act(reason, byId('ask-value').value);
      byId('ask').close();
    } catch (error) {
      byId('ask-failure').textContent = error.message;
    }
    byId('ask-yes').disabled = false;
  };
  byId('ask').showModal();
  (value === null ? byId('ask-reason') : byId('ask-value')).focus();
}
byId('ask-no').onclick = () => byId('ask').close();

function table(titles, rows) {
  const head = titles.map((title) => el('th', { scope: 'col', class: title.startsWith('#') ? 'number' : '' }, title.replace('#', '')));
  const cells = (row) => row.map((cell, at) => el('td', { class: titles[at].startsWith('#') ? 'number' : 'long' }, cell));
  return el('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': titles.join(', ').replaceAll('#', '') },
    el('table', {}, el('thead', {}, el('tr', {}, ...head)), el('tbody', {}, ...rows.map((row) => el('tr', {}, ...cells(row))))));
}

const pairs = (list) => el('dl', {}, ...list.flatMap(([name, value]) => [el('dt', {}, name), el('dd', {}, value)]));
const tagsText = (tags) => Object.entries(tags || {}).map(([name, value]) => `${name}=${value}`).join(' ');

function chart(title, unit, times, values) {
  const max = Math.max(...values, 0);
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '0 0 100 40');
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('role', 'img');
  const last = values.length ? number(values[values.length - 1], unit) : 'no point yet';
  svg.setAttribute('aria-label', `${title}: now ${last}, at most ${number(max, unit)}`);
  const base = document.createElementNS(svg.namespaceURI, 'line');
  for (const [name, value] of [['x1', 0], ['x2', 100], ['y1', 39.5], ['y2', 39.5]]) base.setAttribute(name, value);
  const path = document.createElementNS(svg.namespaceURI, 'path');
  const x = (at) => (values.length > 1 ? (100 * at) / (values.length - 1) : 100);
  const y = (value) => 39 - (max ? (36 * value) / max : 0);
  path.setAttribute('d', values.map((value, at) => `${at ? 'L' : 'M'}${x(at).toFixed(2)} ${y(value).toFixed(2)}`).join(''));
  svg.append(base, path);
  return el('figure', {}, el('figcaption', {}, el('span', {}, title), el('b', {}, last)), svg, el('span', { class: 'muted' }, `max ${number(max, unit)}`));
}
