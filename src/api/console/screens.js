const screens = {
  async overview(main) {
    const range = el('select', { id: 'range', onchange: () => draw() }, ...Object.entries(RANGES).map(([key, name]) => el('option', { value: key }, name)));
    const [tiles, charts, facts, processes] = [el('div', { class: 'tiles' }), el('div', { class: 'charts' }), el('section', {}), el('section', {})];
    main.append(tiles, el('section', { 'aria-label': 'Charts' }, el('div', { class: 'row' }, el('label', { class: 'short' }, 'Time', range)), charts), facts, processes);
    let shown = null;
    const draw = () => {
      const points = shown.history[range.value];
      const column = (name) => points.map((point) => point[shown.columns.indexOf(name)]);
      charts.replaceChildren(...CHARTS.map(([name, title, unit]) => chart(title, unit, column('time'), column(name))));
      const live = shown.history.second[shown.history.second.length - 1] || [];
      const now = (name) => live[shown.columns.indexOf(name)];
      const tile = (name, value, unit) => el('div', { class: 'tile' }, el('b', {}, typeof value === 'string' ? value : number(value, unit)), el('span', {}, name));
      tiles.replaceChildren(
        tile('connections', shown.totals.connections), tile('clients', shown.totals.clients),
        tile('messages', now('messages'), '/s'), tile('deliveries', now('deliveries'), '/s'),
        tile('missed so far', shown.totals.missed), tile('waiting', shown.totals.waiting),
        tile('processor', now('cpu_percent'), ' %'), tile('memory', shown.totals.resident_bytes, 'B'),
        tile('up', span(shown.time - shown.started_at)));
    };
    const update = async () => {
      shown = await read('overview');
      byId('state').textContent = shown.state;
      byId('state').dataset.state = shown.state;
      draw();
      const { configuration, totals, certificate, memory } = shown;
      const list = [
        ['Version', shown.version], ['Listens on', shown.listen.join(', ')],
        ['Configuration', `${configuration.number}: ${configuration.file || 'no file, defaults'}`],
        ['Last reload', configuration.last_reload || 'none'],
        ['Broker', shown.broker_linked ? 'linked' : el('span', { class: 'bad' }, 'not linked')],
        ['Memory limit', memory ? `${number(memory.ceiling_bytes, 'B')}, ${memory.pressure}` : 'none'],
        ['Certificate', certificate ? `${Math.floor((certificate.expires - shown.time) / 86400)} days left` : 'none'],
        ['Closed clients', `${totals.closed_slow} slow, ${totals.closed_silent} silent, ${totals.closed_for_memory} for memory`],
        ['Requests of the API', `${number(totals.requests)}, ${number(totals.requests_refused)} refused`],
      ];
      const notes = configuration.warnings.map((text) => ['warning', text])
        .concat(configuration.waits_for_restart.map((text) => ['needs a restart', text]))
        .concat(shown.exits.map((exit) => ['process exits', `${exit.role}: ${exit.count} ${exit.cause}`]));
      facts.replaceChildren(el('h2', {}, 'Server'), pairs(list),
        notes.length ? el('ul', { class: 'plain warn' }, ...notes.map(([kind, text]) => el('li', {}, `${kind}: ${text}`))) : '',
        actions());
    };
    const actions = () => {
      if (!mayChange() || me.applications) return '';
      const button = (name, path, text, kind) => el('button', { class: kind, onclick: () => ask(name, text, null, async (reason) => { await request('POST', path, { reason }); }) }, name);
      return el('div', { class: 'row' },
        button('Reload', 'reload', 'Reads the configuration, the applications and the operators again.', 'quiet'),
        button('Restart workers', 'restart-workers', 'Replaces the workers one after the other. Their clients have to connect again.', 'quiet'),
        button('Drain', 'drain', 'Closes all connections over the drain time and stops the server.', 'danger'));
    };
    const updateProcesses = async () => {
      const status = await read('processes');
      const count = (process) => {
        const counts = process.counts || {};
        const own = counts.worker || counts.api || counts.broker;
        return own ? number(own.open === undefined ? own.clients : own.open) : 'no answer';
      };
      processes.replaceChildren(el('h2', {}, 'Processes'), table(['Role', '#Pid', '#Generation', 'State', 'Up', '#Memory', '#Files', '#Clients'],
        status.processes.map((process) => [process.role, process.pid || '–', process.generation, process.state, span(process.uptime_s), number(process.resident_bytes, 'B'), number(process.descriptors), count(process)])));
    };
    await update();
    await updateProcesses();
    let count = 0;
    return async () => {
      count += 1;
      await update();
      if (count % 5 === 0) await updateProcesses();
    };
  },

  async connections(main) {
    const detail = el('section', { 'aria-live': 'polite' }, el('p', { class: 'muted' }, 'Choose a connection to see its details.'));
    const list = el('section', {});
    const find = async (cursor) => {
      const query = new URLSearchParams({ limit: '50' });
      if (chosen.expression) query.set('expr', chosen.expression);
      if (cursor) query.set('cursor', cursor);
      const page = await read(ofApplication(`connections?${query}`));
      const rows = page.connections.map((one) => [
        el('button', { class: 'link mono', 'data-uuid': one.uuid, onclick: guarded(() => open(one.uuid)) }, `${one.uuid.slice(0, 8)}…`),
        tagsText(one.tags), one.ident || '', one.kind, one.worker]);
      list.replaceChildren(el('h2', { id: 'matched' }, `${number(page.matched)} matching`), table(['UUID', 'Tags', 'Name', 'Kind', '#Worker'], rows),
        el('div', { class: 'row' }, el('button', { class: 'quiet', disabled: !page.cursor, onclick: guarded(() => find(page.cursor)) }, 'Next page'),
          cursor ? el('button', { class: 'quiet', onclick: guarded(() => find('')) }, 'First page') : ''));
    };
    const open = async (uuid) => {
      const one = await read(ofApplication(`connections/${encodeURIComponent(uuid)}`));
      const again = () => open(uuid);
      const path = ofApplication(`connections/${encodeURIComponent(uuid)}`);
      const change = (name, text, value, act, kind) => el('button', { class: kind, onclick: () => ask(name, text, value, act) }, name);
      const json = (text) => { try { return JSON.parse(text); } catch { throw new Error('This is not JSON.'); } };
      detail.replaceChildren(el('h2', {}, 'Connection'), pairs([
        ['UUID', el('code', {}, one.uuid)], ['Kind', `${one.kind}, ${one.dialect}`], ['Address', one.ip], ['Opened', when(one.opened_at)],
        ['User', one.user === null ? 'none' : JSON.stringify(one.user)], ['Name', one.ident || 'none'], ['Tags', tagsText(one.tags) || 'none'], ['Version of the tags', one.version],
        ['Outbox', one.outbox ? `${number(one.outbox.bytes, 'B')}, ${one.outbox.waiting} waiting` : '–'], ['Worker', one.worker]]),
      mayChange() ? el('div', { class: 'row' },
        change('Send', 'The message, as JSON.', '{"text":"hello"}', async (reason, text) => {
          await request('POST', ofApplication('publish'), { to: { uuid }, message: json(text), reason });
        }, 'quiet'),
        change('Change tags', 'All tags that the client shall have, as a JSON object.', JSON.stringify(Object.fromEntries(Object.entries(one.tags || {}).filter(([name]) => !name.startsWith('@'))), null, 1), async (reason, text) => {
          await request('PUT', `${path}/tags`, { tags: json(text), reason });
          await again();
        }, 'quiet'),
        change('Disconnect', 'The client gets the reason with the close code 1000.', null, async (reason) => {
          await request('DELETE', `${path}?reason=${encodeURIComponent(reason)}`);
          detail.replaceChildren(el('p', {}, 'The connection is being closed.'));
        }, 'danger')) : el('p', { class: 'muted' }, 'The role viewer changes nothing.'));
    };
    main.append(chooser(() => find('')), el('div', { class: 'split' }, list, detail));
    await find('');
    return null;
  },

  async expressions(main) {
    const output = el('pre', { id: 'result', 'aria-live': 'polite' }, 'Write an expression, such as: language=FR & !(room=1 | beta?)');
    const uuid = el('input', { id: 'lab-uuid', autocomplete: 'off', placeholder: 'optional: why does this client match?' });
    const print = (value) => { output.textContent = JSON.stringify(value, null, 2); };
    const query = (limit) => ofApplication(`connections?${new URLSearchParams({ expr: chosen.expression, limit })}`);
    const button = (id, name, act, kind = 'quiet') => el('button', { id, class: kind, onclick: guarded(async () => print(await act())) }, name);
    main.append(chooser(null), el('section', {}, el('div', { class: 'row' }, el('label', {}, 'UUID', uuid)),
      el('div', { class: 'row' },
        button('lab-count', 'Count', async () => ({ matched: (await read(query('0'))).matched }), ''),
        button('lab-sample', 'Sample', async () => (await read(query('5'))).connections),
        button('lab-explain', 'Explain', () => request('POST', ofApplication('explain'), { expr: chosen.expression, counts: true, ...(uuid.value ? { uuid: uuid.value.trim() } : {}) })),
        mayChange() ? button('lab-dry', 'Dry run of a publication', () => request('POST', ofApplication('publish'), { to: { expr: chosen.expression }, message: 'dry run', dry_run: true })) : ''),
      output));
    return null;
  },

  async live(main) {
    const select = el('select', { id: 'live-application' }, me.applications ? null : el('option', { value: '' }, 'all'),
      ...applications.map((one) => el('option', { value: one.application, selected: Boolean(me.applications) && one.application === chosen.application }, one.application)));
    const expression = el('input', { id: 'live-expression', autocomplete: 'off', spellcheck: 'false', placeholder: 'optional, for one application: language=FR' });
    const rate = el('select', { id: 'live-rate' }, ...[5, 20, 100].map((value) => el('option', { value, selected: value === 20 }, `${value} a second`)));
    const payloads = el('input', { type: 'checkbox', id: 'live-payloads' });
    const button = el('button', { id: 'live-start' }, 'Start');
    const note = el('p', { class: 'muted', role: 'status', id: 'live-note' }, 'Start shows publications from then on.');
    const list = table(['Time', 'Tenant', 'To', '#Matched', '#Bytes', 'From', 'Payload'], []);
    const rows = list.querySelector('tbody');
    let reading = null;
    let counts = { shown: 0, dropped: 0 };
    const stop = () => {
      if (reading) reading.abort();
      reading = null;
      button.textContent = 'Start';
    };
    const onEvent = (name, data) => {
      if (name === 'dropped') counts.dropped += data.dropped;
      if (name === 'gap') fail('The broker was replaced. Some publications before now are not shown.');
      if (name === 'end') fail(data.reason === 'draining' ? 'The server stops.' : 'You may not see this any more. Log in again.');
      if (name === '') {
        counts.shown += 1;
        const cells = [new Date(data.time).toLocaleTimeString('en-GB'), data.tenant || '–', JSON.stringify(data.to), number(data.matched), number(data.bytes), data.process,
          data.payload === undefined ? '–' : data.payload + (data.truncated ? '…' : '')];
        const kinds = ['', '', 'long mono', 'number', 'number', '', 'long mono'];
        rows.prepend(el('tr', {}, ...cells.map((cell, at) => el('td', { class: kinds[at] }, cell))));
        while (rows.children.length > LIVE_ROWS) rows.lastChild.remove();
      }
      note.textContent = `${number(counts.shown)} shown, ${number(counts.dropped)} more were not shown because of the rate.`;
    };
    const begin = async () => {
      const own = new AbortController();
      reading = own;
      counts = { shown: 0, dropped: 0 };
      button.textContent = 'Stop';
      note.textContent = 'Waiting for a publication.';
      const query = new URLSearchParams({ rate: rate.value });
      if (select.value) query.set('application', select.value);
      if (expression.value.trim()) query.set('expr', expression.value.trim());
      if (payloads.checked) query.set('payloads', '1');
      try {
        await events(`tail?${query}`, own.signal, onEvent);
      } finally {
        if (reading === own) stop();
      }
    };
    button.onclick = guarded(async () => {
      if (reading) return stop();
      fail('');
      return begin().catch((error) => { if (error.name !== 'AbortError') throw error; });
    });
    leave = stop;
    main.append(el('section', {}, el('div', { class: 'row' }, el('label', { class: 'short' }, 'Application', select), el('label', {}, 'Only what reaches', expression),
      el('label', { class: 'short' }, 'At most', rate), me.payloads ? el('label', { class: 'check' }, payloads, 'payloads') : null, button), note, list));
    return null;
  },

  async events(main) {
    const filter = el('select', { id: 'event-kind', onchange: () => draw() }, el('option', { value: '' }, 'all'),
      ...Object.entries(EVENT_KINDS).map(([kind, name]) => el('option', { value: kind }, name)));
    const note = el('p', { class: 'muted', role: 'status', id: 'event-note' });
    const list = table(['Time', 'Kind', 'Application', 'What'], []);
    const rows = list.querySelector('tbody');
    let [kept, missed] = [[], 0];
    const row = (event) => el('tr', { 'data-kind': event.kind }, el('td', {}, when(event.time)),
      el('td', {}, EVENT_KINDS[event.kind] || event.kind), el('td', {}, event.application || '–'), el('td', { class: 'long' }, event.text));
    const draw = () => {
      const shown = kept.filter((event) => !filter.value || event.kind === filter.value).reverse();
      rows.replaceChildren(...shown.map(row));
      note.textContent = `${number(shown.length)} of ${number(kept.length)} events, the last one first.${missed ? ` ${number(missed)} are not kept any more.` : ''}`;
    };
    main.append(el('section', {}, el('div', { class: 'row' }, el('label', { class: 'short' }, 'Kind', filter)), note, list));
    const page = await read('events');
    kept = page.events;
    draw();
    const own = new AbortController();
    leave = () => own.abort();
    const onEvent = (name, data) => {
      if (name === 'gap') missed += data.missed;
      if (name === 'end') fail(data.reason === 'draining' ? 'The server stops.' : 'You may not see this any more. Log in again.');
      if (name === '') kept = kept.concat([data]).slice(-EVENT_ROWS);
      draw();
    };
    events(`events/stream?cursor=${encodeURIComponent(page.cursor)}`, own.signal, onEvent)
      .catch((error) => { if (error.name !== 'AbortError') fail(error.message); });
    return null;
  },

  async applications(main) {
    const detail = el('section', { 'aria-live': 'polite' }, el('p', { class: 'muted' }, 'Choose an application to see its numbers.'));
    const open = async (name) => {
      const stats = await read(`applications/${encodeURIComponent(name)}`);
      detail.replaceChildren(el('h2', {}, name), pairs([
        ['Tenant', stats.tenant], ['Clients', `${stats.clients.web} web, ${stats.clients.php} php, ${stats.clients.send_only} only send`],
        ['Tag names', number(stats.tag_names)], ['Tags', number(stats.tag_values)],
        ['Publications', number(stats.counters.publications)], ['Deliveries', number(stats.counters.deliveries)],
        ['Denied', number(stats.counters.denied)], ['Rate limited', number(stats.counters.rate_limited)]]),
      table(['Secret', 'Last use', 'State'], stats.secrets.map((secret) => [secret.id, when(secret.last_used), secret.expired ? 'expired' : 'valid'])));
    };
    const rows = applications.map((one) => [
      el('button', { class: 'link', onclick: guarded(() => open(one.application)) }, one.application), one.tenant, number(one.denied), number(one.rate_limited),
      one.secrets.map((secret) => secret.id).join(', ')]);
    main.append(el('div', { class: 'split' }, el('section', {}, el('h2', {}, 'Applications'), table(['Application', 'Tenant', '#Denied', '#Rate limited', 'Secrets'], rows)), detail));
    return null;
  },

  async configuration(main) {
    const { keys, file, warnings } = await read('configuration');
    const filter = el('input', { id: 'filter', autocomplete: 'off', oninput: () => draw() });
    const changed = el('input', { type: 'checkbox', id: 'changed', onchange: () => draw() });
    const list = el('div', {});
    const draw = () => {
      const text = filter.value.toLowerCase();
      const rows = keys.filter((row) => row.key.toLowerCase().includes(text) && (!changed.checked || row.source !== 'default'));
      list.replaceChildren(el('p', { class: 'muted' }, `${rows.length} of ${keys.length} keys`), table(['Key', 'Value', 'Default', 'Source', 'Restart'],
        rows.map((row) => [el('code', {}, row.key), row.source === 'default' ? row.value : el('b', {}, row.value), row.default, row.source, row.needs_restart ? 'needed' : ''])));
    };
    main.append(el('section', {}, el('h2', {}, file || 'No file'), warnings.length ? el('ul', { class: 'plain warn' }, ...warnings.map((text) => el('li', {}, text))) : '',
      el('div', { class: 'row' }, el('label', {}, 'Filter', filter), el('label', { class: 'check' }, changed, 'only values that were set')), list));
    draw();
    return null;
  },
};
