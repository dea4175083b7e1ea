# nats-server for the chart's natsServer, in a cluster without a registry. The context is the folder with the program.
FROM scratch
COPY nats-server /nats-server
ENTRYPOINT ["/nats-server"]
