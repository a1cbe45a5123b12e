// The category "Runbooks" of the launcher, and the keyboard in forms and cards. Written by hand as the container that
// JupyterLab loads: there is no build.
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

  const modules = {
    './extension': async () => {
      const [launcher, icons] = await Promise.all([shared('@jupyterlab/launcher'), shared('@jupyterlab/ui-components')]);
      return () => ({ __esModule: true, default: [tiles(launcher.ILauncher, icons), keyboard] });
    }
  };

  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB.runbooks = {
    init: given => { scope = given; },
    get: name => (modules[name] ? modules[name]() : Promise.reject(new Error(`runbooks has no module ${name}`)))
  };
})();
