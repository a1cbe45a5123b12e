// The category "Runbooks" of the launcher, the keyboard in forms and cards, notebooks that are not changed by being opened,
// and the card of a run whose cell this page does not follow. Written by hand as the container that JupyterLab loads: there is no build.
(() => {
  'use strict';
  const START = 'notebooks/start_here.ipynb';
  const TILES = [
    { id: 'start', label: 'Start here', icon: 'notebookIcon', path: START,
      caption: 'What is here, the parameters, and the first run' },
    { id: 'migration', label: 'The migration', icon: 'fastForwardIcon', path: START, fragment: '#The-migration',
      caption: 'From docker-compose to ECS with the same volume, and back' },
    { id: 'day-two', label: 'Day two', icon: 'refreshIcon', path: START, fragment: '#Day-two',
      caption: 'Patch hosts, deploy an image, back up, look for drift' },
    { id: 'game-day', label: 'Game day', icon: 'bugIcon', path: 'docs/game-days.md', factory: 'Markdown Preview',
      caption: 'Let things go wrong on purpose, in the sandbox' }
  ];
  let scope = {};

  const shared = async name => (await Object.values(scope[name])[0].get())();

  // A notebook draws its cells after it is ready: try until the heading can be seen.
  const scrollTo = async (opened, fragment) => {
    const name = fragment.slice(1);
    for (let tries = 0; tries < 20; tries++) {
      opened.setFragment(fragment);
      await new Promise(resolve => setTimeout(resolve, 250));
      const heading = opened.node.querySelector(`[id="${name}"], [data-jupyter-id="${name}"]`);
      const top = heading ? heading.getBoundingClientRect().top : Infinity;
      const page = opened.node.getBoundingClientRect();
      if (top >= page.top && top < page.bottom) {
        return;
      }
    }
  };

  const tiles = (ILauncher, icons) => ({
    id: 'runbooks:launcher',
    description: 'Adds the category Runbooks to the launcher.',
    autoStart: true,
    requires: [ILauncher],
    activate: (app, launcher) => {
      TILES.forEach((tile, rank) => {
        const command = `runbooks:${tile.id}`;
        app.commands.addCommand(command, {
          label: tile.label,
          caption: tile.caption,
          icon: icons[tile.icon],
          execute: async () => {
            const opened = await app.commands.execute('docmanager:open', { path: tile.path, factory: tile.factory });
            if (tile.fragment && opened) {
              await opened.context.ready;
              await scrollTo(opened, tile.fragment);
            }
            return opened;
          }
        });
        launcher.add({ command, category: 'Runbooks', categoryRank: -1, rank });
      });
    }
  });

  // A plain key in a form or a card is for the field with the focus: a notebook would take an arrow in a list for "next
  // cell", and X on a button for "cut this cell". Chords, as Ctrl+S, stay JupyterLab's.
  const OWN_KEYS = '.runbook-form, .runbook-card';
  const keyboard = {
    id: 'runbooks:keyboard',
    description: 'Leaves plain keys to the fields of forms and cards.',
    autoStart: true,
    activate: () => window.addEventListener('keydown', event => {
      const field = event.target;
      if (field.closest && field.closest(OWN_KEYS)) {
        field.toggleAttribute('data-lm-suppress-shortcuts', !(event.ctrlKey || event.metaKey || event.altKey));
      }
    }, true)
  };

  // JupyterLab notes the kernel's language in a notebook that was just opened, and then calls it unsaved.
  const unchanged = INotebookTracker => ({
    id: 'runbooks:unchanged',
    description: 'Calls no notebook unsaved that was only opened.',
    autoStart: true,
    requires: [INotebookTracker],
    activate: (app, tracker) => tracker.widgetAdded.connect(async (_tracker, panel) => {
      await panel.context.ready;
      const model = panel.context.model;
      const cells = () => JSON.stringify(model.toJSON().cells);
      const opened = cells();
      const check = () => setTimeout(() => {
        if (!panel.isDisposed && cells() === opened) {
          model.dirty = false;
        }
      });
      model.metadataChanged.connect((_model, change) => {
        if (['kernelspec', 'language_info'].includes(change.key)) {
          check();
        }
      });
      check();
    })
  });

  // The card above the cells of a working copy. In a cutover it keeps the clock and the buttons in sight, wherever the page
  // is scrolled to. After the page was loaded again JupyterLab shows no more output of a cell that still runs, and after a
  // panic the kernel is gone: the server reads the run's journal, whatever the kernel does.
  const LOOK_MS = 1000;
  const IDLE_LOOKS = 3;
  const BUSY = 'A cell of this notebook was running when the page was loaded. It goes on; its own card is gone, this is ' +
    'what the run\'s record says.';
  const IDLE = 'The cell has ended. Run the notebook again from the top: what is done is skipped.';
  const GONE = 'The kernel has ended. This is what the run\'s record says.';
  const PANIC = 'Panic: back to compose';
  const ARMED = 'Press again: end the run, back to compose';
  const ARMED_MS = 10000;

  const makeHeader = (Widget, label) => {
    const header = new Widget();
    header.addClass('runbook-header');
    header.node.setAttribute('role', 'region');
    header.node.setAttribute('aria-label', label);
    header.node.style.cssText = 'overflow: auto; background: var(--jp-layout-color1); color: var(--jp-ui-font-color1); ' +
      'border-bottom: 1px solid var(--jp-border-color1)';
    return header;
  };

  const addButton = (place, label, className, act) => {
    const made = document.createElement('button');
    made.className = `jp-mod-styled jp-Button ${className}`;
    made.textContent = label;
    made.addEventListener('click', act);
    place.append(made, ' ');
    return made;
  };

  // When all cells have run the page still shows the first of them: the header says how that ended, and what comes next.
  const ENDED = 'Every cell has run.';
  const STOPPED = 'It stopped at a cell, which says why. What is done stays done: mend it, then run the notebook again from the top.';
  const MIGRATION = /^[0-4]\d_.*\.ipynb$/;

  const endOf = panel => {
    const cells = panel.content.widgets;
    const failed = cells.findIndex(cell => cell.model.type === 'code' &&
      cell.model.outputs.toJSON().some(output => output.output_type === 'error'));
    const begun = cells.filter(cell => cell.model.type === 'code').every(cell => cell.model.executionCount);
    return failed >= 0 ? { text: STOPPED, index: failed } : begun ? { text: ENDED, index: cells.length - 1 } : null;
  };

  const nextOf = async (panel, contents) => {
    const [, folder, name] = panel.context.path.match(/^(.*?)([^/]*)$/);
    const listed = (await contents.get(folder)).content.map(file => file.name);
    const later = listed.filter(other => MIGRATION.test(other) && MIGRATION.test(name) && other > name).sort();
    return later.length ? { path: folder + later[0], name: later[0].replace(/\.ipynb$/, '') } : null;
  };

  const makeEnd = (panel, Widget, end, next, open) => {
    const header = makeHeader(Widget, 'How this notebook ended');
    header.addClass('runbook-ended');
    header.node.innerHTML = '<div style="padding: 6px 12px"><span role="status"></span> <span class="runbook-ended-actions"></span></div>';
    header.node.querySelector('[role="status"]').textContent = end.text;
    const actions = header.node.querySelector('.runbook-ended-actions');
    addButton(actions, end.text === ENDED ? 'Show the end' : 'Show the cell', '', () => {
      panel.content.activeCellIndex = end.index;
      void panel.content.scrollToItem(end.index, 'center');
    });
    if (next && end.text === ENDED) {
      addButton(actions, `Next: ${next.name}`, 'jp-mod-accept', () => open(next.path));
    }
    addButton(actions, 'Close', '', () => header.dispose());
    panel.contentHeader.addWidget(header);
    header.node.style.minHeight = `${header.node.firstChild.offsetHeight}px`;
    panel.contentHeader.fit();
    return header;
  };

  const makeCard = (panel, Widget, ask) => {
    const card = makeHeader(Widget, 'The run of this notebook');
    card.addClass('runbook-card');
    card.node.innerHTML = '<div class="runbook-header-all" style="padding: 6px 12px">' +
      '<div class="runbook-header-why"></div><div class="runbook-header-page"></div>' +
      '<div class="runbook-header-actions" style="padding-top: 4px"></div>' +
      '<div class="runbook-header-said" role="status" style="white-space: pre-wrap"></div></div>';
    const part = name => card.node.querySelector(`.runbook-header-${name}`);
    const button = (label, className, act) => addButton(part('actions'), label, className, act);
    const fit = () => {
      const most = Math.round(panel.node.clientHeight * 0.6);
      const height = `${Math.min(most, part('all').offsetHeight)}px`;
      if (card.node.style.minHeight !== height) {
        card.node.style.minHeight = height;
        panel.contentHeader.fit();
      }
    };
    const act = async name => {
      const answer = await ask('POST', { act: name });
      part('said').textContent = answer.said;
      part('said').setAttribute('role', answer.refused ? 'alert' : 'status');
      await look();
    };
    const hold = button('Pause before the outage', '', () => act('hold'));
    const release = button('Cut over now', 'jp-mod-accept', () => act('release'));
    const panic = button(PANIC, 'jp-mod-warn', () => {
      if (panic.textContent === ARMED) {
        panic.textContent = PANIC;
        void act('panic');
      } else {
        panic.textContent = ARMED;
        setTimeout(() => { panic.textContent = PANIC; }, ARMED_MS);
      }
    });
    button('Close', '', () => card.dispose());
    const look = async () => {
      const said = await ask('GET', {});
      if (card.isDisposed || !said.run_id) {
        return;
      }
      part('page').innerHTML = said.html;
      if (said.refused) {
        part('said').textContent = said.refused;
      }
      [hold, release, panic].forEach(one => { one.hidden = !said.is_cutover; });
      hold.disabled = !said.may_hold;
      release.disabled = !said.holds;
      [hold, release].forEach(one => { one.style.opacity = one.disabled ? 0.4 : 1; });
    };
    const resized = new ResizeObserver(fit);
    resized.observe(part('all'));
    const timer = setInterval(() => { look().catch(() => undefined); }, LOOK_MS); // the server may be gone
    card.disposed.connect(() => {
      clearInterval(timer);
      resized.disconnect();
    });
    card.why = text => { part('why').textContent = text; };
    card.look = look;
    return card;
  };

  const cards = (INotebookTracker, NotebookActions, Widget, ServerConnection) => ({
    id: 'runbooks:card',
    description: 'Shows the card of a run whose cell this page does not follow.',
    autoStart: true,
    requires: [INotebookTracker],
    activate: (app, tracker) => {
      tracker.widgetAdded.connect(async (_tracker, panel) => {
        await panel.context.ready;
        const settings = app.serviceManager.serverSettings;
        const ask = async (method, query) => {
          const words = new URLSearchParams({ path: panel.context.path, ...query });
          const url = `${settings.baseUrl}runbooks/card?${words}`;
          const answer = await ServerConnection.makeRequest(url, { method }, settings);
          return answer.ok ? answer.json() : { said: answer.statusText, refused: true };
        };
        if (!(await ask('GET', {})).run_id) {
          return;
        }
        const session = await app.serviceManager.sessions.findByPath(panel.context.path);
        let busy = Boolean(session && session.kernel && session.kernel.execution_state === 'busy');
        let card = null;
        let stays = false;
        let closed = false;
        let idle = 0;
        let ran = false;
        let end = null;
        const open = path => app.commands.execute('docmanager:open', { path });
        const begin = () => {
          ran = true;
          if (end) {
            end.dispose();
            end = null;
          }
        };
        const showEnd = async () => {
          const found = ran && !card && endOf(panel);
          if (found) {
            ran = false;
            end = makeEnd(panel, Widget, found, await nextOf(panel, app.serviceManager.contents), open);
          }
        };
        const show = async (why, staying) => {
          stays = staying;
          if (!card) {
            card = makeCard(panel, Widget, ask);
            card.disposed.connect(() => { card = null; closed = true; });
            panel.contentHeader.addWidget(card);
          }
          card.why(why);
          await card.look();
        };
        const isBusy = () => panel.sessionContext.session?.kernel?.status === 'busy';
        const tick = async () => {
          idle = isBusy() ? 0 : idle + 1;
          if (isBusy()) {
            begin();
          }
          if (idle > IDLE_LOOKS) {
            closed = false;
            if (card && !stays) {
              card.dispose();
              closed = false;
            }
            await showEnd();
          } else if (!card && !closed && isBusy() && (await ask('GET', {})).is_cutover) {
            await show('', false);
          }
        };
        panel.sessionContext.statusChanged.connect((_context, status) => {
          if (status === 'dead' || status === 'autorestarting') {
            void show(GONE, true);
          } else if (busy && status === 'idle') {
            busy = false;
            if (card) {
              void show(IDLE, true);
            }
          }
        });
        NotebookActions.executionScheduled.connect((_sender, { notebook }) => {
          if (notebook !== panel.content) {
            return;
          }
          begin();
          if (card && stays) {
            card.dispose();
            closed = false;
          }
        });
        const timer = setInterval(() => { tick().catch(() => undefined); }, LOOK_MS);
        panel.disposed.connect(() => clearInterval(timer));
        if (busy) {
          await show(BUSY, true);
        }
      });
    }
  });

  const modules = {
    './extension': async () => {
      const names = ['launcher', 'ui-components', 'notebook', 'services'].map(name => `@jupyterlab/${name}`);
      const [launcher, icons, notebook, services, lumino] = await Promise.all([...names, '@lumino/widgets'].map(shared));
      const card = cards(
        notebook.INotebookTracker, notebook.NotebookActions, lumino.Widget, services.ServerConnection
      );
      const all = [tiles(launcher.ILauncher, icons), keyboard, unchanged(notebook.INotebookTracker), card];
      return () => ({ __esModule: true, default: all });
    }
  };

  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB.runbooks = {
    init: given => { scope = given; },
    get: name => (modules[name] ? modules[name]() : Promise.reject(new Error(`runbooks has no module ${name}`)))
  };
})();
