#!/bin/sh
# Makes the certificates that the manifests take, with openssl, where their
# kustomization.yaml reads them:
#
#   sh certificates.sh thanos.eu.example            # for observee/
#   sh certificates.sh thanos.us.example copy-us    # for a copy of observee/
#
# The first run makes the CA and the observer's certificate, too. What exists is not
# made again: to renew a certificate, delete its tls.crt. $OUT is another place for
# all of it.
#
# With cert-manager, a Certificate for each of these, of one Issuer with a CA, does
# the same, and renews them: its Secrets have the same keys, ca.crt, tls.crt and
# tls.key. Then leave out the secretGenerator of the TLS Secrets.
set -eu
umask 077
cd "${OUT:-$(dirname "$0")}"
host=${1:?usage: certificates.sh INGRESS_HOST [DIRECTORY]}
observee=${2:-observee}
days=${DAYS:-90}

# Its key can make somebody who may read everything: keep it where no cluster is.
mkdir -p secrets
[ -e secrets/ca.crt ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
	-keyout secrets/ca.key -out secrets/ca.crt -days 3650 -subj "/CN=observer CA" \
	-addext "basicConstraints=critical,CA:TRUE,pathlen:0" -addext "keyUsage=critical,keyCertSign,cRLSign"

# leaf DIRECTORY SUBJECT USAGE NAMES issues DIRECTORY/tls.crt with a new key, and puts
# the CA beside it.
leaf() {
	mkdir -p "$1"
	[ -e "$1/tls.crt" ] || {
		printf 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=%s\nsubjectAltName=%s\n' "$3" "$4" >"$1/leaf.ext"
		openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1/tls.key" -subj "/CN=$2" -out "$1/leaf.csr"
		openssl x509 -req -in "$1/leaf.csr" -CA secrets/ca.crt -CAkey secrets/ca.key -days "$days" -extfile "$1/leaf.ext" -out "$1/leaf.crt"
		mv "$1/leaf.crt" "$1/tls.crt"
		rm "$1/leaf.ext" "$1/leaf.csr"
	}
	cp secrets/ca.crt "$1/ca.crt"
}

# What the observer shows. Programs of one's own may decide by the URI who it is.
leaf observer/secrets/client observer clientAuth "URI:spiffe://observer.example/querier"
# What the observer sees.
leaf "$observee/secrets/ingress" "$host" serverAuth "DNS:$host"
# What the ingress sees, which does not look; with passthrough, the observer does.
leaf "$observee/secrets/querier" querier serverAuth "DNS:querier.observee.svc,DNS:$host"
