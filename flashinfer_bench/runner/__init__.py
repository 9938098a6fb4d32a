"""The skill runner: `claude-code run <skill>`, and the same as `flashinfer-bench skills`."""

COMMANDS = {
    "run": "run a skill: run SKILL [flags]; --help after the skill lists its flags",
    "list": "all skills, and what each is for",
    "show": "one skill's text; with --rendered, what the engines would send",
    "check": "lint a bundle of skills, each problem as file:line: message",
    "install": "link or copy the skills into a project",
    "doctor": "what the runner finds on this machine",
}
"""First word -> what it does; `main` has a function for each."""

__all__ = ["COMMANDS"]
