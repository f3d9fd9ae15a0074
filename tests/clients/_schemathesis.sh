# Shared by the scripts that run schemathesis against the APIs of other systems (sourced, never run).
# SCHEMATHESIS_SECONDS says for how long they make up requests. A long run is
#   SCHEMATHESIS_SECONDS=3600 MASTER=127.0.0.1:5050 tests/clients/72-schemathesis-marathon
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/lib.sh"
venv schemathesis 'schemathesis==4.32.5'
cat >"$WORK/hooks.py" <<'P'
import schemathesis


@schemathesis.hook
def before_call(context, case, kwargs):
    harmless(case.body)


def harmless(body):
    """What runs is short, there is little of it, and it fetches nothing; what is wrong stays wrong."""
    if isinstance(body, list):
        for one in body:
            harmless(one)
    if not isinstance(body, dict):
        return
    for key in ("cmd", "command"):
        if isinstance(body.get(key), str) and body[key].strip():
            body[key] = "sleep 5"
    for key, words in (("args", ["sleep", "5"]), ("arguments", [])):
        if body.get(key) and isinstance(body[key], list) and all(isinstance(word, str) for word in body[key]):
            body[key] = words
    for key in ("uris", "fetch", "artifacts"):
        if isinstance(body.get(key), list) and all(well_formed(one) for one in body[key]):
            del body[key]
    if type(body.get("instances")) is int and 2 < body["instances"] < 2**32:
        body["instances"] = 2
    for key in ("apps", "groups", "run"):
        harmless(body.get(key))


def well_formed(one):
    if isinstance(one, str):
        return True
    if not isinstance(one, dict) or not isinstance(one.get("uri"), str):
        return False
    kinds = {"extract": bool, "executable": bool, "cache": bool, "destPath": str, "output_file": str}
    return all(one.get(key) is None or isinstance(one[key], kind) for key, kind in kinds.items())
P
# facade NAME URL SECONDS: every operation of the description of a facade; $WORK/schemathesis.toml says what cannot be told in it
facade() {
  local seconds=${SCHEMATHESIS_SECONDS:-$3}
  RUN_TIMEOUT=$((seconds + 60))
  cd "$WORK" || exit 1
  export SCHEMATHESIS_HOOKS=hooks PYTHONPATH=$WORK
  run bash -c "'$VENV/bin/schemathesis' run 'http://$MASTER/v1/openapi/$1.json' --url '$2' --max-time $seconds --suppress-health-check all --no-color --request-timeout 20 && echo SEEN schemathesis 4.32.5: no complaint about $1"
  pass "$SEEN"
}
