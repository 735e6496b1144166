/** The application and the expression, for the screens about connections. */
function chooser(find) {
  const select = el('select', { id: 'application', onchange: guarded(async () => { chosen.application = select.value; if (find) await find(); }) },
    ...applications.map((one) => el('option', { value: one.application, selected: one.application === chosen.application }, one.application)));
  const input = el('input', { id: 'expression', value: chosen.expression, autocomplete: 'off', spellcheck: 'false', placeholder: 'language=FR & !(room=1 | beta?)', oninput: () => { chosen.expression = input.value.trim(); } });
  return el('form', { class: 'row', onsubmit: guarded(async (event) => { event.preventDefault(); if (find) await find(); }) },
    el('label', {}, 'Application', select), el('label', {}, 'Tag expression', input), find ? el('button', { id: 'find' }, 'Find') : '');
}

/** Shows the error of a function in place of throwing it. */
function guarded(act) {
  return async (event) => {
    try {
      if (event && event.type === 'submit') event.preventDefault();
      await act(event);
      fail('');
    } catch (error) {
      fail(error.message);
    }
  };
}

function login(main) {
  const [name, password, own] = [el('input', { id: 'name', autocomplete: 'username' }), el('input', { id: 'password', type: 'password', autocomplete: 'current-password' }), el('input', { id: 'token', type: 'password', autocomplete: 'off' })];
  const begin = guarded(async () => {
    if (own.value) token = own.value.trim();
    else token = (await request('POST', 'login', { name: name.value, password: password.value })).token;
    sessionStorage.setItem(KEY, token);
    await start();
  });
  main.append(el('section', { id: 'login' }, el('h2', {}, 'Log in'), el('form', { onsubmit: begin },
    el('label', {}, 'Name', name), el('label', {}, 'Password', password), el('label', {}, 'Or the token of an operator', own), el('button', { id: 'enter' }, 'Log in'))));
  name.focus();
}

async function start() {
  me = await read('me');
  applications = (await read('applications')).applications;
  if (!applications.some((one) => one.application === chosen.application)) chosen.application = applications.length ? applications[0].application : '';
  await show();
}

async function show() {
  clearTimeout(timer);
  if (leave) leave();
  leave = null;
  turn += 1;
  const own = turn;
  // A screen that is still loading keeps its own element.
  const main = el('div');
  byId('main').replaceChildren(main);
  byId('nav').hidden = byId('logout').hidden = !me;
  byId('who').textContent = me ? `${me.name}, ${me.role}` : '';
  if (!me) return login(main);
  const current = location.hash.slice(1) in screens ? location.hash.slice(1) : 'overview';
  for (const link of byId('nav').children) {
    if (link.hash === `#${current}`) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  document.title = `${current} – Tagcast console`;
  let update = null;
  await guarded(async () => { update = await screens[current](main); })();
  if (own !== turn) return;
  byId('main').dataset.screen = current;
  const tick = async () => {
    if (own !== turn || !me) return;
    if (update && !document.hidden && !byId('ask').open) {
      try {
        await update();
        fail('');
      } catch (error) {
        fail(error.message);
        byId('state').dataset.state = 'lost';
        byId('state').textContent = 'no answer';
      }
    }
    if (own === turn && me) timer = setTimeout(tick, 1000);
  };
  if (update) timer = setTimeout(tick, 1000);
}

byId('logout').onclick = guarded(async () => {
  await request('POST', 'logout', {}).catch(() => {});
  forget();
});
window.addEventListener('hashchange', show);
if (token) start().catch((error) => { fail(error.message); forget(); });
else show();
