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
.runbook-form .widget-toggle-buttons { flex-wrap: wrap; }
.runbook-field { margin: 0 0 0.7rem 0; max-width: 46rem; overflow: visible; }
.runbook-hint { line-height: 1.35; color: var(--jp-ui-font-color1, inherit); white-space: normal; }
.runbook-error { line-height: 1.35; color: var(--jp-error-color0, #b00020); white-space: pre-wrap; }
.runbook-diff { line-height: 1.35; overflow-x: auto; padding: 0.4rem; border: 1px solid var(--jp-border-color1, #999); }
.runbook-added { color: var(--jp-success-color0, #1b5e20); }
.runbook-removed { color: var(--jp-error-color0, #b00020); }
.runbook-actions { flex-wrap: wrap; align-items: flex-end; gap: 0.5rem; }
.runbook-form :focus-visible { outline: 2px solid var(--jp-brand-color1, #1976d2); outline-offset: 1px; }
</style>"""
