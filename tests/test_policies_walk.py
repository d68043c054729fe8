"""An administrator's whole way with one rule: drafted, examined, tried out, put in force by another, asked about, taken back."""

from pathlib import Path

from policies.rules import defaults
from records.governance import simulating
from tests.apis import serve
from tests.policy_apis import TIGHT, Desk

NO_NOTES = {**TIGHT, "id": "no-notes", "subject": "doctor", "condition": "r.obj.kind == 'note'"}


async def test_from_a_draft_to_a_rule_in_force_and_back(database_url: str, tmp_path: Path):
    async with serve(database_url, tmp_path) as api:
        desk = await Desk.open(api)
        first, second, people = desk.first, desk.second, api.people
        record = {"type": "record", "id": str(people.record.id)}
        question = {
            "subject": str(people.adams.subject.id),
            "action": "read",
            "resource": record,
        }
        assert (await api.get(people.adams, f"/v1/records/{people.record.id}")).status_code == 200

        draft = await desk.draft(NO_NOTES)
        assert draft["changes"] == {"added": ["no-notes"], "removed": [], "changed": []}
        assert "surprise" in {finding["code"] for finding in draft["findings"]}  # the golden table

        asked = await desk.send(first, "POST", f"/drafts/{draft['id']}/simulate", {})
        await simulating.work(api.clinic.database, 60)
        told = (await desk.send(second, "GET", f"/simulations/{asked.json()['id']}")).json()
        assert told["status"] == "done"
        assert {effect["after"] for effect in told["result"]["effects"]} == {"no-notes"}

        before = (await desk.send(second, "POST", "/check", question)).json()
        if_so = (
            await desk.send(second, "POST", "/check", {**question, "draft_id": draft["id"]})
        ).json()
        assert (before["allowed"], if_so["allowed"], if_so["rule_id"]) == (True, False, "no-notes")

        publish = f"/drafts/{draft['id']}/publish"
        assert (await desk.send(first, "POST", publish, match=1)).json()["code"] == "four-eyes"
        assert (await desk.send(second, "POST", publish)).status_code == 428
        assert (await desk.send(second, "POST", publish, match=7)).status_code == 412
        assert (await desk.send(second, "POST", publish, match=1)).status_code == 200
        await api.clinic.policy.refresh()
        assert (await api.get(people.adams, f"/v1/records/{people.record.id}")).status_code == 404
        after = (await desk.send(second, "POST", "/check", question)).json()
        assert (after["version"], after["rule_id"]) == (2, "no-notes")
        who = {"action": "read", "resource": record}
        assert (await desk.send(second, "POST", "/who-can", who)).json()["items"] == []

        upgrade = (await desk.send(first, "GET", "/upgrade")).json()
        assert (upgrade["put"], upgrade["remove"], upgrade["kept"]) == ([], [], [])
        back = {"reason": "doctors need their notes"}
        restored = await desk.send(second, "POST", "/versions/1/restore", back, match=2)
        assert (restored.status_code, restored.json()["rule_count"]) == (201, len(defaults()))
        await api.clinic.policy.refresh()
        assert (await api.get(people.adams, f"/v1/records/{people.record.id}")).status_code == 200
        whos = (await desk.send(second, "POST", "/who-can", who)).json()["items"]
        assert str(people.adams.subject.id) in {may["account_id"] for may in whos}
