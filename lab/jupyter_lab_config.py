"""How `make lab` sets JupyterLab up; ADR 0025 says why. JUPYTER_PATH and JUPYTER_CONFIG_PATH name this folder."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OWN = ROOT / ".sandbox" / "lab"

c = get_config()  # noqa: F821 - Jupyter defines it
c.ServerApp.ip = "127.0.0.1"
c.ServerApp.root_dir = str(ROOT)
c.FileContentsManager.preferred_dir = str(ROOT / "notebooks")
c.ServerApp.answer_yes = True  # one Ctrl-C ends it, and `make lab` takes the sandbox down
c.ServerApp.allow_root = True  # as in many containers; it listens on this machine only
c.LabApp.default_url = "/lab/tree/notebooks/start_here.ipynb"
# tabs and settings of this checkout stay in it
c.LabApp.workspaces_dir = str(OWN / "workspaces")
c.LabApp.user_settings_dir = str(OWN / "user-settings")
c.FileContentsManager.pre_save_hook = "runbook_lib.lab.save_without_outputs"
