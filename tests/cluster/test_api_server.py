"""The tests' own client of the API server: any thread may use it, and none disturbs another."""

from __future__ import annotations

import threading
from typing import ClassVar

from agentex_testkit.api_server import ApiServer, Client
from agentex_testkit.installation import Installation

KUBE_SYSTEM = "/api/v1/namespaces/kube-system"


class Witnessed(Client):
    """One that tells in which thread each was closed."""

    closed_in: ClassVar[list[int]] = []

    def close(self) -> None:
        self.closed_in.append(threading.get_ident())
        super().close()


def test_threads_share_no_connection_and_leave_none_open(installation: Installation) -> None:
    """httpcore's pool may close a connection that it has just given to another thread (encode/httpcore#1110)."""
    server = installation.cluster.server
    api = ApiServer(server.url, server.ca, installation.administrator, Witnessed)
    mine, theirs = api.http, []

    def ask() -> None:
        theirs.append((api.http.get(KUBE_SYSTEM).status_code, api.http is mine))

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert (api.http, theirs) == (mine, [(200, False)])
    assert Witnessed.closed_in == [thread.ident]

    api.close()
    assert mine.is_closed
