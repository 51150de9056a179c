# A worker: fetches its work from the back end, over a connection of its own each time.
while true; do
    if curl -s -f -m 30 -o /tmp/work.new http://192.0.2.1/payload; then
        mv /tmp/work.new /tmp/work
        echo "work fetched"
    else
        echo "no work: curl ended with status $?"
    fi
    sleep 1
done
