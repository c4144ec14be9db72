"""How connections to the world outside the cluster are made: checked addresses, proxies, and trusted certificates."""
