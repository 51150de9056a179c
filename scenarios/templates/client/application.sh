# Stands for an application: fetches something again and again, over a connection of its own each time.
while true; do
    if curl -s -f -m 30 -o /tmp/work.new http://192.0.2.1/small; then
        mv /tmp/work.new /tmp/work
        echo "fetched"
    else
        echo "not fetched: curl ended with status $?"
    fi
    sleep 0.5
done
