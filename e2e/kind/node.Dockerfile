# The node's file system is imported as it is; these are the settings that an import cannot carry.
FROM localhost/spillway-node-files
ENV container=docker
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# To systemd SIGTERM means "start again": this is its signal for "shut down".
STOPSIGNAL SIGRTMIN+3
ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]
