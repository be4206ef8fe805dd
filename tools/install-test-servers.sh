#!/usr/bin/env bash
# Installs the Debian packages that P2D's system tests start: Orthanc with DICOMweb, DCMTK, dicom3tools (dciodvfy),
# PostgreSQL, Chromium, Java for Spark.
# Does nothing where all are present. The tests start their own servers on free loopback ports; services that
# the packages bring are neither used nor started.
set -euo pipefail

packages=()
need() { # need PACKAGE FILE...: the package is missing unless one of the files exists
    local package=$1 file
    shift
    for file in "$@"; do
        if [[ -e $file ]]; then return 0; fi
    done
    packages+=("$package")
}

need orthanc /usr/sbin/Orthanc
need orthanc-dicomweb /usr/share/orthanc/plugins/libOrthancDicomWeb.so
need dcmtk /usr/bin/dcmqrscp
need dicom3tools /usr/bin/dciodvfy
need postgresql /usr/lib/postgresql/*/bin/postgres
need chromium /usr/bin/chromium
need openjdk-17-jre-headless /usr/bin/java
python3 -c 'import ensurepip' 2>/dev/null || packages+=(python3-venv)

if [[ ${#packages[@]} -eq 0 ]]; then exit 0; fi

sudo=()
if [[ $(id -u) -ne 0 ]]; then
    if ! sudo -n true 2>/dev/null; then
        echo "The tests need these Debian packages: ${packages[*]}" >&2
        echo "Way out: sudo apt-get install ${packages[*]}   (then run make test again)" >&2
        exit 1
    fi
    sudo=(sudo -n)
fi
if ! command -v apt-get >/dev/null; then
    echo "This is no Debian system; install by hand what provides: ${packages[*]}" >&2
    exit 1
fi

# A policy of 101 (deny) keeps dpkg from starting the packages' services; it is removed again.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee $policy >/dev/null
    "${sudo[@]}" chmod 0755 $policy
    trap '"${sudo[@]}" rm -f $policy' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
"${sudo[@]}" apt-get update -q </dev/null
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -q -y --no-install-recommends "${packages[@]}" </dev/null
