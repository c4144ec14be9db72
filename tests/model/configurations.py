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
    "build:1:K4:late=1,edit=1",
    "build:1:K4:edit=1,cancel=1",
    "named:1:K4:late=1",
    "pinned:1:K4:edit=1,revert=1",
    "hasty:1:K4:",
    "corrected:1:K4:late=1,purge=1",
    "following:1:K4:unread=1,source=1",
    "preview:1:K4:edit=1,revert=1,ask=1",
    "expiring:1:K4:late=1",
    "fleeting:1:K4:lost=1",
)

# How far behind a view may be matters: each K sees other worlds.
SWEEP = tuple(name for k in range(2, 7) for name in (
    f"build:2:K{k}:error=1",
    f"production:1:K{k}:crash=1,travel=1,edit=1",
))

MODEL = (
    "build:1:K4:crash=1,lost=1,error=1,late=1",
    "build:1:K4:late=1,edit=1",
    "build:1:K4:late=1,cancel=1",
    "build:1:K4:crash=1,cancel=1,ask=1",
    "build:1:K4:late=1,refuse=1",
    "build:1:K4:purge=1,pause=1",
    "build:1:K4:purge=1,delete=1",
    "build:1:K4:unread=1,edit=1",
    "build:1:K4:lag=1,stale=1,purge=1",
    "build:1:K4:lost=1,slow=1",
    "build:1:K4:fail=1,edit=1,revert=1",
    "build:1:K4:source=1,delete=1",
    "named:1:K4:lost=1,error=1,delete=1",
    "named:1:K4:late=1,edit=1",
    "named:1:K4:lost=1,refuse=1",
    "pinned:1:K4:late=1,ask=1",
    "hasty:1:K4:late=1",
    "hasty:1:K4:crash=1,edit=1",
    "production:1:K4:late=1,delete=1",
    "production:1:K4:late=1,purge=1,edit=1",
    "production:1:K4:late=1,refuse=1",
    "production:1:K4:late=1,slow=1",
    "production:1:K4:edit=1,revert=1",
    "corrected:1:K4:crash=1,late=1,purge=1",
    "following:1:K4:late=1,unread=1,source=1",
    "preview:1:K4:late=1,lag=1",
    "preview:1:K4:late=1,fail=1,edit=1",
    "preview:1:K4:purge=1,edit=1,revert=1",
    "preview:1:K4:edit=1,pause=1",
    "preview:1:K4:purge=1,delete=1",
    "preview:1:K4:lost=1,refuse=1,delete=1",
    "expiring:1:K4:lost=1,ask=1",
    "expiring:1:K4:late=1",
    "fleeting:1:K4:late=1",
    "build:2:K3:stale=1",
    "build:2:K3:pause=1",
    "named:2:K3:crash=1",
    "pinned:2:K3:lost=1",
    "hasty:2:K3:",
    "production:2:K3:late=1",
    "production:2:K3:lag=1",
    "corrected:2:K3:purge=1",
    "following:2:K3:source=1",
    "preview:2:K3:edit=1",
    "preview:2:K3:crash=1,travel=1",
    "fleeting:2:K3:",
    *SWEEP,
)

FULL_ONE = (
    "build:1:K4:crash=2,lost=1,error=1,late=1,delete=1",
    "build:1:K4:late=1,edit=1,revert=1",
    "named:1:K4:crash=1,late=1,edit=1",
    "production:1:K4:crash=1,late=1,edit=1,delete=1",
    "corrected:1:K4:crash=1,late=1,purge=1,edit=1",
    "preview:1:K4:crash=1,late=1,edit=1,delete=1",
    "expiring:1:K4:crash=1,late=1,edit=1",
    "fleeting:1:K4:crash=1,edit=1,delete=1",
)

FULL_TWO = (
    "build:2:K4:late=1",
    "named:2:K4:late=1",
    "production:2:K4:crash=1,late=1",
    "preview:2:K4:late=1",
)
