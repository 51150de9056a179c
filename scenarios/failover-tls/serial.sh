# Prints the serial number of the certificate that the virtual address has now. The CA's root is made anew with each
# start of the server, and fetched from it.
set -eu
curl -sSk --max-time 4 https://acme.example.test:15000/roots/0 > /tmp/root.pem
openssl s_client -connect 192.0.2.1:443 -servername www.example.test < /dev/null 2> /dev/null |
    openssl x509 -noout -serial
