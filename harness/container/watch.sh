#!/bin/sh
# watch.sh SERVICE LIMIT: wait LIMIT seconds, or until the service (the directory that service.sh
# was given) has ended.
service=$1
uptime() { read -r now idle </proc/uptime; now=${now%.*}; }
uptime
deadline=$((now + $2))
while [ ! -s "$service/report.new" ] && [ "$now" -lt $deadline ]; do
    sleep 0.2
    uptime
done
