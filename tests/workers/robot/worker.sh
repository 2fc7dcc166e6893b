#!/bin/sh
# The robot with the words of the other clients. usage: worker.sh BASE-URL TOPIC SINK-URL
# The library appends `/engine-rest` by itself.
exec python3 -m robot --output NONE --log NONE --report NONE --console none \
    --variable "HOST:${1%/engine-rest}" --variable "TOPIC:$2" --variable "SINK:$3" "${0%.sh}.robot"
