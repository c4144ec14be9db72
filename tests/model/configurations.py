"""Which searches there are: a small gate for every test run, a larger one for `make model`, and a large one.

A name says it all: kind, replicas, versions kept (K), and the budget of each fault and each act of the user.
"""

GATE = (
    "build:1:K4:crash=1,lost=1,error=1",
    "build:1:K4:edit=1,delete=1,recreate=1",
    "build:1:K4:late=1",
    "build:2:K3:",
    "production:1:K4:late=1,crash=1",
    "production:1:K4:edit=1,delete=1,recreate=1",
    "preview:1:K4:late=1,edit=1",
    "preview:1:K4:fail=1,edit=1",
    "preview:2:K3:error=1",
)

MODEL = ()

FULL_ONE = ()

FULL_TWO = ()
