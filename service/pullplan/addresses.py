"""Is this the address of somebody on the public internet?"""

import ipaddress

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
"""The IPv4 address that stands at the end of such a one is where it leads (RFC 6052)."""


def is_public(address: str) -> bool:
    """Tell whether packets to an IP address may leave for the internet: it is no private, local, shared or reserved one.

    Raises: ValueError for what is no IP address.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        within = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if within is None and ip in _NAT64:
            within = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if within is not None:
            return is_public(str(within))
    return ip.is_global and not ip.is_multicast and not ip.is_reserved
