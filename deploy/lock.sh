#!/usr/bin/env bash
# Makes the locks anew from pyproject.toml and from the inputs in streams/stack/jars.py:
#   deploy/requirements.lock       what `make demo` and `make example` install
#   deploy/requirements-test.lock  the same versions and what `make test` needs besides
#   deploy/requirements-evaluate.lock  the same again and what `make evaluate` needs besides
#   deploy/local/kafka-jars.lock   the jars of Apache Kafka
# uv itself stands in deploy/requirements-uv.lock, which changes by hand only: another version there, then
#   echo uv==VERSION | uv pip compile --universal --generate-hashes --no-header --no-annotate - -o deploy/requirements-uv.lock
# Needs the network. Keeps the versions that are locked already; `UPGRADE=1 make lock` takes the newest allowed ones.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=$("${PYTHON:-python3}" deploy/setup_venv.py --uv)
compile() {
  "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
    ${UPGRADE:+--upgrade} --extra local --extra example --extra setup "$@" pyproject.toml
}
compile --output-file deploy/requirements.lock
compile --extra test --constraint deploy/requirements.lock --output-file deploy/requirements-test.lock
compile --extra test --extra evaluate --constraint deploy/requirements-test.lock --output-file deploy/requirements-evaluate.lock
# The locks are for CPython on Linux and macOS only: saying so on every line would only hide the other markers.
always="implementation_name == 'cpython' and (sys_platform == 'darwin' or sys_platform == 'linux')"
for lock in deploy/requirements.lock deploy/requirements-test.lock deploy/requirements-evaluate.lock; do
  sed -i.old -e "s/ and $always//" -e "s/ ; $always//" "$lock" && rm -f "$lock.old"
done
.venv/bin/python -m streams.stack.jars_lock >deploy/local/kafka-jars.lock.new
mv deploy/local/kafka-jars.lock.new deploy/local/kafka-jars.lock
