# Puts the regression of 5.10.61 (taken back in 5.10.78) into drivers/net/vrf.c: connection tracking
# is reset for every packet that a VRF receives. Fails unless both places are found, once each, and
# neither has the line already.
#
# To be run with -v reset='STATEMENT'.

{ print }

pending && index($0, reset) { already++ }
{ pending = 0 }

/^static struct sk_buff \*vrf_ip_rcv\(/ { family = 4 }
/^static struct sk_buff \*vrf_ip6_rcv\(/ { family = 6 }
/^}/ { family = 0 }

family == 4 && /IPCB\(skb\)->flags \|= IPSKB_L3SLAVE;/ { put(4) }
family == 6 && /bool is_ndisc = .*;/ { put(6) }

function put(which) {
    print "\t" reset
    count[which]++
    pending = 1
}

END { exit !(count[4] == 1 && count[6] == 1 && !already) }
