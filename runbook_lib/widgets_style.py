"""How the parameters form looks: in the colours of JupyterLab's theme, so in light and dark."""

STYLE = """<style>
.runbook-form { max-width: 60rem; }
.runbook-form .jupyter-widgets.widget-text, .runbook-form .jupyter-widgets.widget-textarea,
.runbook-form .jupyter-widgets.widget-dropdown, .runbook-form .jupyter-widgets.widget-select-multiple {
  width: auto; flex-direction: column; align-items: stretch; height: auto;
}
.runbook-form .jupyter-widgets .widget-label {
  width: auto; text-align: left; height: auto; font-weight: 600; color: var(--jp-ui-font-color1, inherit);
}
.runbook-form .jupyter-widgets select { flex: none; }
.runbook-form .widget-dropdown select { height: var(--jp-widgets-inline-height, 28px); }
.runbook-form .widget-select-multiple select { height: auto; }
.runbook-form .widget-dropdown select { appearance: auto; background-image: none; }
body[data-jp-theme-light="false"] .runbook-form select { color-scheme: dark; }
.runbook-form .widget-toggle-buttons { flex-wrap: wrap; margin-bottom: 0.7rem; row-gap: 4px; }
.runbook-form .widget-toggle-button { margin-bottom: 4px; }
.runbook-form .widget-toggle-button.mod-active {
  font-weight: 600; box-shadow: inset 0 -3px 0 var(--jp-brand-color1, #1976d2);
}
.runbook-field { margin: 0 0 0.7rem 0; max-width: 46rem; overflow: visible; }
.runbook-hint { line-height: 1.35; color: var(--jp-ui-font-color1, inherit); white-space: normal; }
.runbook-error {
  line-height: 1.35; color: var(--jp-ui-font-color0, inherit); white-space: pre-wrap; overflow-wrap: anywhere;
  border-left: 4px solid var(--jp-error-color1, #c62828); padding-left: 0.5rem;
  background: color-mix(in srgb, var(--jp-error-color1, #c62828) 14%, transparent);
}
.runbook-error ul { margin: 0; padding-left: 1.2rem; }
.runbook-diff { line-height: 1.35; overflow-x: auto; padding: 0.4rem; border: 1px solid var(--jp-border-color1, #999); }
.runbook-added { background: color-mix(in srgb, var(--jp-success-color1, #2e7d32) 25%, transparent); }
.runbook-removed { background: color-mix(in srgb, var(--jp-error-color1, #c62828) 20%, transparent); }
.runbook-actions { flex-wrap: wrap; align-items: flex-end; gap: 0.5rem; }
.runbook-form :focus-visible { outline: 2px solid var(--jp-brand-color1, #1976d2); outline-offset: 1px; }
</style>"""
