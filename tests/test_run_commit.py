"""The git commit of the code that acts, read from git's own files."""

from __future__ import annotations

import subprocess

import pytest

from runbook_lib.run_commit import git_commit


def git(folder, *arguments):
    """Run git; return what it printed."""
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path):
    """Return a checkout with one commit."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "-q")
    git(folder, "commit", "-q", "--allow-empty", "-m", "First")
    return folder


@pytest.mark.parametrize("how", ["on a branch", "packed", "detached", "in a worktree", "packed, in a worktree"])
def test_it_is_what_git_says(checkout, tmp_path, how):
    """However git keeps it, the commit is found without running git."""
    expected, place = git(checkout, "rev-parse", "HEAD"), checkout
    if how == "detached":
        git(checkout, "checkout", "-q", "--detach")
    if "worktree" in how:
        place = tmp_path / "worktree"
        git(checkout, "worktree", "add", "-q", "-b", "feature/x", str(place))
    if "packed" in how:
        git(checkout, "pack-refs", "--all")
    assert git_commit(place) == expected


def test_without_git_there_is_none(tmp_path):
    """An installed package, a fresh repository and a broken one have no commit."""
    assert git_commit(tmp_path) == ""
    (tmp_path / "empty").mkdir()
    git(tmp_path / "empty", "init", "-q")
    assert git_commit(tmp_path / "empty") == ""
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / ".git").write_text("gitdir: nowhere\n")
    assert git_commit(tmp_path / "broken") == ""
