"""A client that was generated from the served OpenAPI document: it lists nodes, sends commands and reads events.

`scripts/clients.sh` makes the package `headwater_client` and runs this with HEADWATER_URL and HEADWATER_TOKEN.
"""

import os
from http import HTTPStatus

from headwater_client import AuthenticatedClient
from headwater_client.api.default import get_node, get_whoami, list_events, list_nodes, post_commands
from headwater_client.models import (
    CommandRequest,
    DefineAssessmentCommand,
    DefineAttestationCommand,
    DefineComponentCommand,
    DefineControlCommand,
    EnrolNodeCommand,
    Problem422,
    PutDocumentCommand,
)


def command(model, **members):
    """A command as a model of the generated package, so that a member that the document does not have fails here."""
    made = model.from_dict(members)
    assert not getattr(made, "additional_properties", {}), made
    return made


def everything():
    """Commands that leave something of each kind, so that schemathesis finds entities by their ids."""
    return [
        command(PutDocumentCommand, type="put_document", id="motd", path="etc/motd", media_type="text/plain",
                content="hello\n", target={"all": True}, priority=0),
        command(DefineControlCommand, type="define_control", id="ac-1", title="Policy", labels={}),
        command(DefineComponentCommand, type="define_component", id="gateway", title="Gateway", controls=["ac-1"]),
        command(DefineAssessmentCommand, type="define_assessment", id="yearly", title="Yearly", control="ac-1",
                components=["gateway"], schedule="0 4 1 1 *"),
        command(DefineAttestationCommand, type="define_attestation", id="scan", assessment="yearly", title="Scan",
                provider={"name": "scanner"}),
    ]


def main():
    client = AuthenticatedClient(
        base_url=os.environ["HEADWATER_URL"], token=os.environ["HEADWATER_TOKEN"], raise_on_unexpected_status=True)
    with client:
        who = get_whoami.sync(client=client)
        assert who.role == "admin", who

        page = list_nodes.sync(client=client, limit=2)
        assert [node.id for node in page.items] == ["node-1", "node-2"] and page.next_, page
        rest = list_nodes.sync(client=client, cursor=page.next_)
        assert [node.id for node in rest.items] == ["node-3"] and rest.next_ is None, rest
        print("listed", len(page.items) + len(rest.items), "nodes")

        request = CommandRequest(commands=everything(), reason="a generated client")
        answer = post_commands.sync(client=client, body=request, idempotency_key="generated-client")
        again = post_commands.sync(client=client, body=request, idempotency_key="generated-client")
        assert answer.position == again.position and len(answer.results) == 5, (answer, again)
        print("appended", len(answer.events), "events up to position", answer.position)

        refused = post_commands.sync_detailed(
            client=client,
            body=CommandRequest(commands=[command(EnrolNodeCommand, type="enrol_node", id="not an id", labels={})]))
        assert refused.status_code == HTTPStatus.UNPROCESSABLE_ENTITY and isinstance(refused.parsed, Problem422)
        assert (refused.parsed.code, refused.parsed.field) == ("invalid_id", "commands[0].id"), refused.parsed

        events = list_events.sync(client=client, after=answer.events[0].position - 1, limit=1000)
        assert [event.position for event in events.items][:5] == [event.position for event in answer.events], events
        assert events.items[0].data == {**events.items[0].data, "path": "etc/motd"}, events.items[0]
        node = get_node.sync(client=client, id="node-1", min_position=answer.position)
        assert "etc/motd" in [entry.path for entry in node.desired.entries], node
        print("read", len(events.items), "events, and what node-1 must hold:", node.desired.digest[:12])


main()
