# shellcheck shell=bash disable=SC2154  # cluster.sh sets what is used here.
# Certificates and kubeconfigs. One CA per folder signs everything; elliptic keys, because a dozen
# of them take a fraction of a second.

pki_days=3650

# make_ca <pki dir>
make_ca() {
  local pki=$1
  mkdir -p "$pki"
  chmod 700 "$pki"
  if [[ -f $pki/ca.crt ]]; then return 0; fi
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days "$pki_days" \
    -subj "/CN=lanekeeper-e2e" -addext "keyUsage=critical,keyCertSign,cRLSign,digitalSignature" \
    -keyout "$pki/ca.key" -out "$pki/ca.crt" 2>"$pki/openssl.log" ||
    die_with_log "$pki/openssl.log" "cannot create the certificate authority"
}

# make_certificate <pki dir> <name> <subject> [subjectAltName]
make_certificate() {
  local pki=$1 name=$2 subject=$3 alternative_names=${4:-} extensions
  if [[ -f $pki/$name.crt ]]; then return 0; fi
  extensions="basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature,keyEncipherment
extendedKeyUsage=serverAuth,clientAuth"
  if [[ -n $alternative_names ]]; then extensions+=$'\n'"subjectAltName=$alternative_names"; fi
  {
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "$subject" \
      -keyout "$pki/$name.key" -out "$pki/$name.csr" &&
      openssl x509 -req -in "$pki/$name.csr" -CA "$pki/ca.crt" -CAkey "$pki/ca.key" \
        -CAcreateserial -days "$pki_days" -extfile <(echo "$extensions") -out "$pki/$name.crt"
  } 2>"$pki/openssl.log" || die_with_log "$pki/openssl.log" "cannot sign the certificate of $name"
}

# make_service_account_keys <pki dir>
make_service_account_keys() {
  local pki=$1
  if [[ -f $pki/service-account.pub ]]; then return 0; fi
  openssl ecparam -genkey -name prime256v1 -noout -out "$pki/service-account.key"
  openssl ec -in "$pki/service-account.key" -pubout -out "$pki/service-account.pub" 2>/dev/null
}

# make_admin_token <pki dir>: the file of --token-auth-file, one administrator.
make_admin_token() {
  local pki=$1
  if [[ -f $pki/tokens.csv ]]; then return 0; fi
  (umask 077 && echo "$(openssl rand -hex 24),lanekeeper-admin,lanekeeper-admin,\"system:masters\"" \
    >"$pki/tokens.csv")
}

# write_kubeconfig <file> <server url> <pki dir> <certificate name | token>
# Everything is embedded, so that the file may be copied anywhere.
write_kubeconfig() {
  local file=$1 server=$2 pki=$3 identity=$4 user
  if [[ $identity == token ]]; then
    user="token: $(cut -d, -f1 "$pki/tokens.csv")"
  else
    user="client-certificate-data: $(base64 -w0 "$pki/$identity.crt")
    client-key-data: $(base64 -w0 "$pki/$identity.key")"
  fi
  (
    umask 077
    cat >"$file.new" <<EOF
apiVersion: v1
kind: Config
current-context: lanekeeper-e2e
clusters:
- name: lanekeeper-e2e
  cluster:
    server: $server
    certificate-authority-data: $(base64 -w0 "$pki/ca.crt")
users:
- name: $identity
  user:
    $user
contexts:
- name: lanekeeper-e2e
  context: {cluster: lanekeeper-e2e, user: $identity}
EOF
  )
  mv -f "$file.new" "$file"
}
