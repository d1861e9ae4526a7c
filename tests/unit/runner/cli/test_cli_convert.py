# Copyright: (c) 2026, coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""``coldchain convert``: never all or none, notes for what changed its meaning, stable names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cli_command import Command


def backup(**options: Any) -> dict[str, Any]:
    action = {"action": "backup", "path_to_backup": "/srv", "backup_name": "srv", "container": "c"}
    return {"freezer_action": {**action, **options}}


def job(job_id: str, **fields: Any) -> dict[str, Any]:
    return {
        "job_id": job_id,
        "client_id": "0123456789abcdef0123456789abcdef_elsewhere.example.org",
        "job_actions": [backup()],
        "job_schedule": {"schedule_interval": "1 days"},
        **fields,
    }


def write(path: Path, content: Any) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def paths(answer: dict[str, Any]) -> set[str]:
    return {note["path"] for note in answer["notes"]}


def test_a_scheduler_directory_becomes_documents(command: Command, tmp_path: Path) -> None:
    write(tmp_path / "jobs" / "job_a.conf", job("a"))
    write(tmp_path / "jobs" / "job_b.conf", job("b", job_actions=[backup(storage="local")]))
    write(tmp_path / "jobs" / "broken.conf", "{")
    write(tmp_path / "jobs" / "mysql.conf", job("m", job_actions=[backup(mode="mysql")]))
    answer = command.json("convert", str(tmp_path / "jobs"))
    assert command.code == 0
    assert [document["job_id"] for document in answer["documents"]] == ["a", "b"]
    storages = [d["job_actions"][0]["freezer_action"]["storage"] for d in answer["documents"]]
    assert storages == ["swift", "local"]
    assert all("client_id" not in document for document in answer["documents"])
    skipped = {Path(entry["source"]).name: entry["reason"] for entry in answer["skipped"]}
    assert set(skipped) == {"broken.conf", "mysql.conf"}
    assert "mysql" in skipped["mysql.conf"]
    # What comes out goes in, on the host that it was for and on every other one.
    assert command("apply", "-", data={"jobs": answer["documents"]}) == 0


def test_what_the_scheduler_reads_of_its_directory_is_converted_and_nothing_else(
    command: Command, tmp_path: Path
) -> None:
    for name in ("job_a.conf", "UPPER.CONF", ".hidden.conf", "job b.conf"):
        write(tmp_path / "conf.d" / name, job(Path(name).stem.strip(".")))
    for name in ("job_a.conf.bak", "job_a.conf~", "notes.txt", ".conf"):
        write(tmp_path / "conf.d" / name, job("not-read"))
    (tmp_path / "conf.d" / "of-a-directory.conf").mkdir()
    answer = command.json("convert", str(tmp_path / "conf.d"))
    found = {document["job_id"] for document in answer["documents"]}
    assert found == {"hidden", "UPPER", "job-b", "job_a"}
    assert {Path(entry["source"]).name for entry in answer["skipped"]} == {
        "job_a.conf.bak",
        "job_a.conf~",
        "notes.txt",
    }
    (renamed,) = (note for note in answer["notes"] if note["path"] == "$.job_id")
    assert renamed["message"] == '"job b" is no name for a job' and renamed["hint"] == "now job-b"


def test_a_list_of_ours_says_which_jobs_there_are(command: Command, tmp_path: Path) -> None:
    jobs = [{**job("a"), "state": "present"}, {"job_id": "b", "state": "absent"}]
    answer = command.json("convert", write(tmp_path / "jobs.json", jobs))
    assert [document["job_id"] for document in answer["documents"]] == ["a"]
    assert [entry["reason"] for entry in answer["skipped"]] == ['is to be absent: "b"']


def test_what_cron_passes_over_is_not_switched_on(command: Command, tmp_path: Path) -> None:
    place = tmp_path / "cron.d"
    off = {"a~", "#a#", "a.rpmsave", "a.dpkg-old"}
    for name in {"a", "b.cron", *off}:
        write(place / name, f"0 3 * * * root /{name[0]}x {len(name)}\n")
    answer = command.json("convert", str(place))
    assert [d["job_actions"][0]["freezer_action"]["command"] for d in answer["documents"]] == [
        ["/ax", "1"],
        ["/bx", "6"],
    ]
    assert {Path(entry["source"]).name for entry in answer["skipped"]} == off
    (note,) = (note for note in answer["notes"] if note["path"] == "$")
    assert note["source"] == str(place / "b.cron") and "Debian" in note["message"]


def test_a_line_in_another_encoding_costs_no_other_line(command: Command, tmp_path: Path) -> None:
    place = tmp_path / "crontab"
    place.write_bytes("# t\xe4glich\n0 3 * * * /x\n0 4 * * * /y \xe4\n".encode("latin-1"))
    answer = command.json("convert", str(place))
    assert [document["job_id"] for document in answer["documents"]] == ["x"]
    ((line, reason),) = (entry.values() for entry in answer["skipped"])
    assert line == f"{place}:3" and "not in UTF-8" in reason
    place.write_bytes(b"0 3 * * * /x\0\n")
    (entry,) = command.json("convert", str(place))["skipped"]
    assert "JSON" not in entry["reason"]


def test_odd_bytes_are_shown_as_everywhere_else(command: Command, tmp_path: Path) -> None:
    place = tmp_path / "j\udce4n"
    place.write_bytes(b"MAILTO=j\xe4n\n0 3 * * * /x\n")
    (note,) = command.json("convert", "--from", "crontab", str(place))["notes"]
    assert note["source"] == rf"{tmp_path}/j\xe4n:2" and r"to j\xe4n, which" in note["message"]
    assert command("convert", "--from", "crontab", str(place)) == 0
    assert rf"{tmp_path}/j\xe4n:2: " in command.err and r"to j\xe4n, which" in command.err
    place.write_bytes(b"\xe4")
    for word in ("validate", "apply"):
        assert rf"{tmp_path}/j\xe4n" in command.error(word, str(place))["message"]


def test_dates_and_schemes_keep_their_meaning(command: Command, tmp_path: Path) -> None:
    document = job(
        "j",
        job_actions=[backup(storage="local", encrypt_pass_file="/root/key")],
        job_schedule={
            "schedule_interval": "1 days",
            "schedule_start_date": "2027-06-02T16:20:00",
            "status": "scheduled",
            "event": "",
        },
    )
    answer = command.json("convert", write(tmp_path / "j.json", document))
    (converted,) = answer["documents"]
    assert converted["job_schedule"]["schedule_start_date"] == "2027-06-02T16:20:00+00:00"
    action = converted["job_actions"][0]["freezer_action"]
    assert action["encrypt_scheme"] == "freezer"
    assert {
        "$.client_id",
        "$.job_schedule.schedule_start_date",
        "$.job_schedule.schedule_interval",
        "$.job_actions[0].freezer_action.encrypt_scheme",
    } <= paths(answer)


def test_a_session_goes_to_its_jobs(command: Command, tmp_path: Path) -> None:
    session = {
        "session_id": "night",
        "session_tag": 4,
        "hold_off": 30,
        "schedule": {"schedule_hour": "2"},
        "jobs": {"a": {"client_id": "x"}, "elsewhere": {"client_id": "y"}},
    }
    client = {"client": {"client_id": "x", "hostname": "x"}}
    dump = {"jobs": [job("a"), job("b")], "sessions": [session], "clients": [client]}
    answer = command.json("convert", write(tmp_path / "dump.json", dump))
    joined, alone = answer["documents"]
    assert joined["session_id"] == "night"
    assert joined["job_schedule"] == {"schedule_hour": "2"}
    assert "session_id" not in alone
    assert {"$.jobs", "$.hold_off"} <= paths(answer)
    assert any("client" in entry["reason"] for entry in answer["skipped"])


def test_an_action_document_is_a_job_without_schedule(command: Command, tmp_path: Path) -> None:
    action = {**backup(storage="local"), "action_id": "abc", "max_retries": 5}
    answer = command.json("convert", write(tmp_path / "a.json", [action]))
    (converted,) = answer["documents"]
    assert converted["job_id"] == "abc"
    assert converted["job_actions"][0]["max_retries"] == 5


def test_an_ini_file_of_the_agent_is_a_job(command: Command, tmp_path: Path) -> None:
    options = "action = backup\npath_to_backup = /srv\nbackup_name = www\nstorage = local"
    text = f"[default]\n{options}\ncontainer = /c\n"
    answer = command.json("convert", write(tmp_path / "www.conf", text))
    assert [document["job_id"] for document in answer["documents"]] == ["www"]


def test_crontabs_are_known_by_their_place(command: Command, tmp_path: Path) -> None:
    line = "0 3 * * * {}/opt/backup.sh full\n"
    write(tmp_path / "etc" / "cron.d" / "one", line.format("root "))
    write(tmp_path / "etc" / "crontab", line.format("www "))
    write(tmp_path / "crontabs" / "joe", line.format(""))
    answer = command.json(
        "convert", *(str(tmp_path / place) for place in ("etc/cron.d", "etc/crontab", "crontabs"))
    )
    actions = [d["job_actions"][0]["freezer_action"] for d in answer["documents"]]
    assert [action.get("user") for action in actions] == ["root", "www", None]
    assert all(action["command"] == ["/opt/backup.sh", "full"] for action in actions)
    ids = [document["job_id"] for document in answer["documents"]]
    assert len(set(ids)) == 3
    assert all(job_id.startswith("backup-") for job_id in ids)


def test_a_crontab_from_standard_input_has_to_be_named(command: Command) -> None:
    code = command("--json", "convert", "--from", "crontab", "-", data=b"@hourly /opt/x\n")
    assert code == 0
    assert json.loads(command.out)["documents"][0]["job_id"] == "x"


def test_the_same_job_twice_is_one(command: Command, tmp_path: Path) -> None:
    files = [write(tmp_path / name, job("a")) for name in ("one.json", "two.json")]
    answer = command.json("convert", *files)
    assert len(answer["documents"]) == 1
    assert len(answer["skipped"]) == 1


def test_different_jobs_of_one_name_both_stay(command: Command, tmp_path: Path) -> None:
    other = job("a", job_schedule={"schedule_hour": "3"})
    files = [write(tmp_path / "one.json", job("a")), write(tmp_path / "two.json", other)]
    first = {d["job_id"] for d in command.json("convert", *files)["documents"]}
    again = {d["job_id"] for d in command.json("convert", *reversed(files))["documents"]}
    assert len(first) == 2
    assert first == again


@pytest.mark.parametrize("content", ["", "{}", "[]", "[1, 2]", '{"x": 1}', "nonsense", "\0"])
def test_what_holds_no_job_is_65(command: Command, tmp_path: Path, content: str) -> None:
    answer = command.json("convert", write(tmp_path / "f.json", content))
    assert command.code == 65
    assert answer["documents"] == []
    assert {entry["source"] for entry in answer["skipped"]} == {str(tmp_path / "f.json")}


def test_a_thousand_documents_convert_within_a_test(command: Command, tmp_path: Path) -> None:
    source = write(tmp_path / "many.json", [job(f"j{number}") for number in range(1000)])
    assert len(command.json("convert", source)["documents"]) == 1000
