// The chat. The room of a client is its tag `room`, its name the tag `name`.
'use strict';
const at = id => document.getElementById(id);
const parameters = new URLSearchParams(location.search);
const rooms = document.querySelectorAll('nav a');
const room = parameters.get('room') ?? 'kitchen';

/** The latest publications that a page asks for when it opens. The application allows as many: see README.md. */
const HISTORY = 50;

at('name').value = localStorage.getItem('name') ?? `Guest ${Math.floor(Math.random() * 900) + 100}`;
const name = () => at('name').value.trim() || 'Guest';

const client = tagcast.connect(parameters.get('server') ?? 'ws://127.0.0.1:8094/', {
  tags: { room, name: name() },
  rewind: HISTORY,
  lazy: true,
});

// The list shows its last line until the reader scrolls up, also when its own size changes.
const list = at('messages');
let isAtEnd = true;
const follow = () => { if (isAtEnd) list.scrollTop = list.scrollHeight; };
list.onscroll = () => { isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40; };
new ResizeObserver(follow).observe(list);

/** Adds a line. What others have written is text, and never HTML. */
function show(parts, kind = '') {
  const line = document.createElement('li');
  line.className = kind;
  for (const [element, text] of parts) line.append(Object.assign(document.createElement(element), { textContent: text }));
  list.append(line);
  follow();
}

const note = text => show([['span', text]], 'note');
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });

// A page that has been loaded again is a new client: it gets the history, its own messages among it.
client.on('said', data => {
  const { by, text, time } = Object(data);
  show([['time', clock.format(Number.isFinite(time) ? time : Date.now())], ['b', String(by)], ['span', String(text)]]);
});

let isFirst = true;
client.onRecovery(({ recovered }) => {
  if (!recovered) note(isFirst ? 'older messages are no longer stored' : 'messages may be missing');
  isFirst = false;
});

/** Everyone in this room, this page too. The application allows a client to watch a tag that it has. */
tagcast.watch(client, { tags: { room } }, {
  onChange({ members, count, isLong, ended }) {
    at('here-title').textContent = ended ? `Who is here is not known: ${ended}` : `Here: ${count}`;
    const names = [...members.values()].map(({ tags }) => String(tags?.name ?? 'Guest')).sort((a, b) => a.localeCompare(b));
    const item = (text, kind = '') => Object.assign(document.createElement('li'), { textContent: text, title: text, className: kind });
    at('members').replaceChildren(...names.map(text => item(text)), ...(isLong ? [item('too many for a list', 'more')] : []));
  },
});

let timer;
client.onStatus(status => {
  clearInterval(timer);
  const tell = () => {
    const seconds = Math.max(0, Math.ceil((status.retryAt - Date.now()) / 1000));
    at('state').textContent = status.state === 'waiting' ? `reconnecting in ${seconds} s`
      : status.state === 'closed' ? `closed: ${status.reason}` : status.state;
  };
  tell();
  if (status.state === 'waiting') timer = setInterval(tell, 500);
});

at('form').onsubmit = event => {
  event.preventDefault();
  const text = at('text').value.trim();
  if (!text) return;
  at('text').value = '';
  // To all in the room, this page too: so every page shows the same order. Without a connection it waits for the next one.
  client.publish({ tags: { room } }, { by: name(), text, time: Date.now() }, { event: 'said' })
    .catch(error => note(`not sent: ${text} (${error.message})`));
};

at('name').onchange = () => {
  localStorage.setItem('name', name());
  client.tag({ set: { name: name() } }).catch(error => note(`the name was not changed: ${error.message}`));
};

for (const link of rooms) {
  const target = new URLSearchParams(link.search);
  if (target.get('room') === room) link.setAttribute('aria-current', 'page');
  // The address of another server stays.
  if (parameters.has('server')) target.set('server', parameters.get('server'));
  link.search = target;
}
document.title = `Chat: ${room}`;
client.open();
