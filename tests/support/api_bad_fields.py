"""What each field of each request cannot be, and what a request needs to be right."""

from __future__ import annotations

from typing import Any

BAD_IDS = ["", "abc", "a" * 13, "A" * 12, "a" * 11 + "1", "a" * 11 + "\n", "é" * 12, "../../../etc"]
BAD_REQUEST_IDS = ["r" * 65, "a b", "a/b", "é", "a\n", " "]
BAD_ETAGS = ["x", "A", "1" * 17, " ", "1\n"]
BAD_TIMES = [{"seconds": 2**62}, {"seconds": -(2**62)}, {"nanos": -1}, {"nanos": 10**9}]
NOT_ONE_LINE = ["", "  ", "\t", "a\nb", "a\rb", "\0", "a\x1b[2J", "a\x7f", "a\x85b", "a\u2028b", "a\u2029b"]

BAD_CONFIGS: dict[str, list[tuple[Any, str]]] = {
    "agent": [("nobody", "agent"), ("Claude", "agent")],
    "model": [("m\nn", "model"), ("  ", "model"), ("m\0", "model")],
    "system_prompt": [("a\0b", "system_prompt"), ("\x1b", "system_prompt"), ("\x9b", "system_prompt")],
    "agent_path": [
        ("a\nb", "agent_path"),
        ("../up.md", "agent_path"),
        ("a/../../b", "agent_path"),
        ("..", "agent_path"),
    ],
    "output_schema": [
        ("not JSON", "output_schema"),
        ("[]", "output_schema"),
        ('"text"', "output_schema"),
        ("null", "output_schema"),
        ("{", "output_schema"),
        ("[" * 50_000, "output_schema"),
        ('{"maximum": ' + "9" * 5000 + "}", "output_schema"),
        ('{"type": "objekt"}', "output_schema"),
        ('{"properties": {"a": {"pattern": "("}}}', "output_schema"),
        ('{"$ref": "https://example.org/schema.json"}', "output_schema"),
        ('{"$schema": "https://example.org/mine"}', "output_schema"),
    ],
    "permission_mode": [("yolo", "permission_mode"), ("acceptedits", "permission_mode")],
    "allowed_tools": [
        ([""], "allowed_tools[0]"),
        (["Read", "a\nb"], "allowed_tools[1]"),
        (["Read"] * 99 + ["\0"], "allowed_tools[99]"),
    ],
    "max_turns": [(0, "max_turns"), (-1, "max_turns")],
    "run_timeout": [
        ({"seconds": 0}, "run_timeout"),
        ({"seconds": -5}, "run_timeout"),
        ({"seconds": 2**62}, "run_timeout"),
        ({"seconds": 60, "nanos": 10**9}, "run_timeout"),
        ({"seconds": 60, "nanos": -(10**9)}, "run_timeout"),
    ],
    "stall_timeout": [({"seconds": 0}, "stall_timeout"), ({"seconds": -5}, "stall_timeout")],
    "setting_sources": [
        (["projects"], "setting_sources"),
        ([""], "setting_sources"),
        (["user", "user"], "setting_sources"),
        (["none", "user"], "setting_sources"),
    ],
    "linger": [({"seconds": 0}, "linger"), ({"seconds": 3601}, "linger")],
    "log_limit": [(0, "log_limit"), (-1, "log_limit"), (2**62, "log_limit")],
    "command": [
        ({}, "command"),
        ({"shell": ""}, "command.shell"),
        ({"shell": " \n"}, "command.shell"),
        ({"shell": "a\0b"}, "command.shell"),
        ({"argv": {}}, "command.argv"),
        ({"argv": {"values": ["", "x"]}}, "command.argv"),
        ({"argv": {"values": ["x", "a\0b"]}}, "command.argv"),
    ],
}

BAD_BRANCHES = [
    "-x",
    "a b",
    "a..b",
    "a/",
    ".a",
    "a.lock",
    "a~1",
    "a^",
    "a:b",
    "a?",
    "a*",
    "a[",
    "a\\b",
    "@",
    "a@{1}",
    "\n",
]
BAD_RELATIVE = ["", "/etc/passwd", "../up", "a/../b", "a\nb", ".", "./"]
BAD_SUBDIRECTORIES = [
    "/",
    "/etc",
    "..",
    "../up",
    "a/../b",
    "a/..",
    "./..",
    ".git",
    ".git/hooks",
    "a/.git/",
    ".GIT",
    "a\nb",
    "a\0b",
    "\x1b[2J",
    "a\x9b",
    "d" * 4097,
    "é" * 2049,
]
BAD_SPANS = [{"seconds": -1}, {"seconds": 365 * 86400 + 1}, {"nanos": -1}]
_SETTINGS = "worktree_settings"
BAD_SETTINGS: list[tuple[Any, str]] = [
    *[({"base_branch": name}, f"{_SETTINGS}.base_branch") for name in BAD_BRANCHES],
    *[({"branch_prefix": name}, f"{_SETTINGS}.branch_prefix") for name in ["-x", "a b", "a..b", "/", "p" * 101]],
    *[({"copied_files": [name]}, f"{_SETTINGS}.copied_files[0]") for name in [*BAD_RELATIVE, "a**b", "f" * 501]],
    ({"copied_files": ["a"] * 101}, f"{_SETTINGS}.copied_files"),
    ({"setup_command": {}}, f"{_SETTINGS}.setup_command"),
    ({"setup_command": {"shell": " "}}, f"{_SETTINGS}.setup_command.shell"),
    ({"setup_timeout": {"seconds": 0}}, f"{_SETTINGS}.setup_timeout"),
    ({"setup_timeout": {"seconds": 86401}}, f"{_SETTINGS}.setup_timeout"),
    *[({"clean_up": {"landed_after": span}}, f"{_SETTINGS}.clean_up.landed_after") for span in BAD_SPANS],
    *[({"clean_up": {"rested_after": span}}, f"{_SETTINGS}.clean_up.rested_after") for span in BAD_SPANS],
]
BAD_TASK: dict[str, list[tuple[Any, str]]] = {"task_id": [(value, "task_id") for value in BAD_IDS]}
BAD_WORK: dict[str, list[tuple[Any, str]]] = {
    **BAD_TASK,
    "target_branch": [(name, "target_branch") for name in BAD_BRANCHES],
}
BAD_PAGE: dict[str, list[tuple[Any, str]]] = {"page_size": [(-1, "page_size")], "page_token": []}
BAD_IDS_OF_CALLS: dict[str, list[tuple[Any, str]]] = {
    "request_id": [(value, "request_id") for value in BAD_REQUEST_IDS]
}
BAD_COMMITS = [(value, "expected_head") for value in ["main", "abc", "0" * 39, "0" * 41, "G" * 40, "-" * 40]]
BAD_STRATEGIES = [(value, "strategy") for value in [-1, 99]]

#: For each method and each field: what is wrong, and where the refusal points. ID stands for a known id.
ID = "\0id"
BAD_FIELDS: dict[str, dict[str, list[tuple[Any, str]]]] = {
    "CreateTaskList": {
        "title": [(title, "title") for title in NOT_ONE_LINE],
        "working_dir": [("relative", "working_dir"), ("/a\nb", "working_dir"), ("/a\0b", "working_dir")],
        "defaults": [],
        "worktree_settings": [],
        "request_id": [(value, "request_id") for value in BAD_REQUEST_IDS],
    },
    "GetTaskList": {"task_list_id": [(value, "task_list_id") for value in BAD_IDS]},
    "ListTaskLists": {
        "page_size": [(-1, "page_size"), (-(2**31), "page_size")],
        "page_token": [],  # test_api_paging.py
        "working_dir": [("relative", "working_dir"), ("/a\x07", "working_dir"), ("/" + "d" * 4096, "working_dir")],
    },
    "UpdateTaskList": {
        "task_list_id": [(value, "task_list_id") for value in BAD_IDS],
        "title": [(title, "title") for title in NOT_ONE_LINE],
        "defaults": [],
        "worktree_settings": BAD_SETTINGS,
        "etag": [(value, "etag") for value in BAD_ETAGS],
        **BAD_IDS_OF_CALLS,
    },
    "DeleteTaskList": {"task_list_id": [(value, "task_list_id") for value in BAD_IDS], **BAD_IDS_OF_CALLS},
    "Enqueue": {
        "task_list_id": [(value, "task_list_id") for value in BAD_IDS],
        "title": [(title, "title") for title in NOT_ONE_LINE],
        "description": [("a\0b", "description"), ("\x1b[31m", "description"), ("\x9b31m", "description")],
        "subtasks": [
            *[([{"title": title}], "subtasks[0].title") for title in NOT_ONE_LINE],
            ([{"title": "one"}, {"title": ""}], "subtasks[1].title"),
        ],
        "overrides": [],
        "subdirectory": [(path, "subdirectory") for path in BAD_SUBDIRECTORIES],
        "request_id": [(value, "request_id") for value in BAD_REQUEST_IDS],
    },
    "Continue": {
        "task_id": [(value, "task_id") for value in BAD_IDS],
        "prompt": [(prompt, "prompt") for prompt in ["", " \n\t ", "a\0b", "\x1b"]],
        "request_id": [(value, "request_id") for value in BAD_REQUEST_IDS],
    },
    "Cancel": {
        "task_id": [(value, "task_id") for value in BAD_IDS],
        "request_id": [(value, "request_id") for value in BAD_REQUEST_IDS],
    },
    "WatchTask": {
        "task_id": [(value, "task_id") for value in BAD_IDS],
        "after_line": [(-1, "after_line"), (-(2**63), "after_line")],
        "heartbeat_interval": [
            ({"seconds": -1}, "heartbeat_interval"),
            ({}, "heartbeat_interval"),
            ({"seconds": 2**62}, "heartbeat_interval"),
        ],
    },
    "GetServerInfo": {},
    "LiftHold": {"hold_id": [("", "hold_id"), ("h" * 4197, "hold_id"), ("é" * 2099, "hold_id")], **BAD_IDS_OF_CALLS},
    "RetryTask": {**BAD_TASK, "request_id": [(value, "request_id") for value in BAD_REQUEST_IDS]},
    "DeleteTask": {**BAD_TASK, "discard_worktree": [], **BAD_IDS_OF_CALLS},
    "GetWorktreeStatus": BAD_WORK,
    "ListChangedFiles": {**BAD_WORK, **BAD_PAGE, "committed_only": []},
    "DiffWorktree": {
        **BAD_WORK,
        "committed_only": [],
        "paths": [*[([value], "paths[0]") for value in BAD_RELATIVE], (["a"] * 101, "paths")],
        "context_lines": [(-1, "context_lines"), (1001, "context_lines")],
        "max_patch_bytes": [(-1, "max_patch_bytes"), (2**26 + 1, "max_patch_bytes")],
    },
    "ListCommits": {**BAD_WORK, **BAD_PAGE},
    "CheckLand": {**BAD_WORK, "strategy": BAD_STRATEGIES},
    "Land": {
        **BAD_WORK,
        "strategy": BAD_STRATEGIES,
        "message": [("a\0b", "message"), ("m" * 65537, "message")],
        "expected_head": BAD_COMMITS,
        "commit_uncommitted": [],
        "include_other_commits": [],
        "include_unpublished_submodules": [],
        "request_id": [(value, "request_id") for value in BAD_REQUEST_IDS],
    },
    "PushBranch": {
        **BAD_TASK,
        "remote": [(value, "remote") for value in ["-x", "a b", "https://example.org", "r" * 201]],
        "remote_branch": [(name, "remote_branch") for name in BAD_BRANCHES],
        "force": [],
        "expected_head": BAD_COMMITS,
        **BAD_IDS_OF_CALLS,
    },
    "DiscardWorktree": {**BAD_TASK, "dry_run": [], **BAD_IDS_OF_CALLS},
    "PruneWorktrees": {
        "task_list_id": [(value, "task_list_id") for value in BAD_IDS if value],
        "rested_for": [(span, "rested_for") for span in BAD_SPANS],
        "dry_run": [],
        **BAD_IDS_OF_CALLS,
    },
    "ReadSetupLog": {**BAD_TASK, "offset": [(-1, "offset")]},
    "WatchEvents": {
        "after_sequence": [(-1, "after_sequence"), (-(2**63), "after_sequence")],
        "task_list_ids": [
            *[([value], "task_list_ids[0]") for value in BAD_IDS],
            (["a" * 12] * 101, "task_list_ids"),
        ],
        "kinds": [([0], "kinds"), ([1, 99], "kinds")],
        "heartbeat_interval": [({"seconds": -1}, "heartbeat_interval"), ({}, "heartbeat_interval")],
    },
    "GetTask": {"task_id": [(value, "task_id") for value in BAD_IDS]},
    "ListTasks": {
        "page_size": [(-1, "page_size")],
        "page_token": [],  # test_api_paging.py
        "task_list_id": [(value, "task_list_id") for value in BAD_IDS if value],
        "states": [([0], "states"), ([1, 0], "states"), ([99], "states"), ([-1], "states")],
        "failure_kinds": [([0], "failure_kinds"), ([1, 0], "failure_kinds"), ([-1], "failure_kinds")],
        "order": [(99, "order"), (-1, "order")],
        "title_contains": [("a\nb", "title_contains"), ("  ", "title_contains"), ("a" * 201, "title_contains")],
        "created_after": [(time, "created_after") for time in BAD_TIMES],
        "created_before": [(time, "created_before") for time in BAD_TIMES],
        "finished_before": [(time, "finished_before") for time in BAD_TIMES],
        "task_list_ids": [
            *[([value], "task_list_ids[0]") for value in BAD_IDS],
            (["a" * 12, "Id"], "task_list_ids[1]"),
            (["a" * 12] * 101, "task_list_ids"),
        ],
        "view": [(99, "view"), (-1, "view")],
    },
    "UpdateTask": {
        "task_id": [(value, "task_id") for value in BAD_IDS],
        "title": [(title, "title") for title in NOT_ONE_LINE],
        "description": [("a\0b", "description"), ("a" * 131073, "description")],
        "subtasks": [({"subtasks": [{"title": title}]}, "subtasks.subtasks[0].title") for title in NOT_ONE_LINE],
        "overrides": [],
        "etag": [(value, "etag") for value in BAD_ETAGS],
        **BAD_IDS_OF_CALLS,
    },
    "UpdateSubtask": {
        "task_id": [(value, "task_id") for value in BAD_IDS],
        "number": [(0, "number"), (-1, "number")],
        "completed": [],
        "etag": [(value, "etag") for value in BAD_ETAGS],
        **BAD_IDS_OF_CALLS,
    },
    "ReadLines": {
        "task_id": [(value, "task_id") for value in BAD_IDS],
        "after_line": [(-1, "after_line")],
        "last_lines": [(0, "last_lines"), (-(2**63), "last_lines")],
        "max_lines": [(-1, "max_lines")],
    },
    "ListRuns": {
        "task_id": [(value, "task_id") for value in BAD_IDS],
        "page_size": [(-1, "page_size")],
        "page_token": [],  # test_api_paging.py
    },
}

#: The fields that hold a config, and a request that is right but for it.
CONFIG_FIELDS = [
    ("CreateTaskList", "defaults"),
    ("UpdateTaskList", "defaults"),
    ("Enqueue", "overrides"),
    ("UpdateTask", "overrides"),
]

#: What each method's request needs to be right.
COMPLETE: dict[str, dict[str, Any]] = {
    "CreateTaskList": {"title": "Title"},
    "GetTaskList": {"task_list_id": ID},
    "ListTaskLists": {},
    "UpdateTaskList": {"task_list_id": ID, "title": "Title"},
    "DeleteTaskList": {"task_list_id": ID},
    "Enqueue": {"task_list_id": ID, "title": "Title"},
    "Continue": {"task_id": ID, "prompt": "Go on"},
    "Cancel": {"task_id": ID},
    "WatchTask": {"task_id": ID},
    "GetTask": {"task_id": ID},
    "ListTasks": {},
    "ListRuns": {"task_id": ID},
    "UpdateTask": {"task_id": ID, "title": "Title"},
    "UpdateSubtask": {"task_id": ID, "number": 1},
    "ReadLines": {"task_id": ID},
    "WatchEvents": {},
    "GetServerInfo": {},
    "LiftHold": {"hold_id": "machine"},
    "RetryTask": {"task_id": ID},
    "DeleteTask": {"task_id": ID},
    "GetWorktreeStatus": {"task_id": ID},
    "ListChangedFiles": {"task_id": ID},
    "DiffWorktree": {"task_id": ID},
    "ListCommits": {"task_id": ID},
    "CheckLand": {"task_id": ID},
    "Land": {"task_id": ID},
    "PushBranch": {"task_id": ID},
    "DiscardWorktree": {"task_id": ID},
    "PruneWorktrees": {},
    "ReadSetupLog": {"task_id": ID},
}
