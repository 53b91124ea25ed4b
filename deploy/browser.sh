#!/usr/bin/env bash
# Chromium for the tests of the boards: nothing to do if there is one; by apt where that is possible, else it says how.
set -euo pipefail
for name in chromium chromium-browser google-chrome google-chrome-stable; do
  if command -v "$name" >/dev/null; then exit 0; fi
done
if [ -d "${PLAYWRIGHT_BROWSERS_PATH:-$HOME/.cache/ms-playwright}" ]; then exit 0; fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  log=$(mktemp)
  echo "installing chromium (once per machine)"
  if { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium; } >"$log" 2>&1; then
    rm -f "$log"
    exit 0
  fi
  tail -5 "$log" >&2
fi
echo "no Chromium: \`sudo apt-get install chromium\` or \`.venv/bin/playwright install chromium\`, then try again" >&2
exit 1
