# The certificate by its chain, name, issuer and serial number.
set -eu
cd "$(dirname "$0")"
sh same.sh
openssl s_client -connect 192.0.2.1:443 -servername www.example.test -verify_hostname www.example.test \
    -CAfile /tmp/root.pem -verify_return_error -showcerts < /dev/null > /tmp/seen 2>&1 ||
    { grep -i 'verif' /tmp/seen; exit 1; }
openssl x509 -in /tmp/seen -noout -issuer -ext subjectAltName > /tmp/about
grep -q 'issuer=CN = Pebble Intermediate CA' /tmp/about || { cat /tmp/about; exit 1; }
grep -q 'DNS:www.example.test' /tmp/about || { cat /tmp/about; exit 1; }
echo 'the certificate is right'
