# One TCP connection that stays open: lines written to /tmp/ask come back in /tmp/answers. The pipe
# is opened for reading and writing, so that it has no end. When the connection breaks, nobody needs
# to wait for more: that is what /tmp/gone says.
: > /tmp/answers
mkfifo /tmp/ask.new
exec 3<> /tmp/ask.new
mv /tmp/ask.new /tmp/ask
socat 'FD:3!!OPEN:/tmp/answers,append' TCP:198.51.100.80:7
: > /tmp/gone
