# What a server does for the other one: `get` prints its certificate with key, `put` takes one from there and has
# nginx read it.
set -eu
read -r what
case $what in
    get) cat /tmp/tls/both.pem ;;
    put)
        cat > /tmp/tls/both.new
        mv /tmp/tls/both.new /tmp/tls/both.pem
        kill -HUP "$(cat /tmp/nginx.pid)"
        echo taken
        ;;
esac
