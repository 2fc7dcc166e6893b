#!/bin/sh
# Starts the engine and returns when it answers.
set -e
systemctl start flowable
until curl -fs -o /dev/null http://127.0.0.1:8080/process-api/management/properties; do sleep 0.5; done
