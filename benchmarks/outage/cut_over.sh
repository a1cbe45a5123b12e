#!/usr/bin/env bash
# The cutover as a script with the aws CLI, its default waiters, and the order of the article: stop compose, unmount,
# snapshot, wait, detach, wait, tag, desired count 1, wait. benchmarks/outage.py runs it; README.md says what is compared.
set -euo pipefail
: "${SOURCE_INSTANCE_ID:?}" "${VOLUME_ID:?}" "${VOLUME_NAME:?}" "${MOUNT_PATH:?}" "${COMPOSE_FILE:?}"
: "${COMPOSE_PROJECT:?}" "${CLUSTER:?}" "${SERVICE:?}"

phase() { printf 'phase %s %s\n' "$(date +%s.%N)" "$1"; }

on_source() { # run one command on the source by SSM and wait for it
  local command_id
  command_id=$(aws ssm send-command --instance-ids "$SOURCE_INSTANCE_ID" --document-name AWS-RunShellScript \
    --parameters "{\"commands\":[\"$1\"]}" --query Command.CommandId --output text)
  sleep 1 # right after SendCommand the waiter can fail with InvocationDoesNotExist
  aws ssm wait command-executed --command-id "$command_id" --instance-id "$SOURCE_INSTANCE_ID"
}

phase stop-compose
on_source "docker compose -p $COMPOSE_PROJECT -f $COMPOSE_FILE stop"
phase unmount
on_source "umount $MOUNT_PATH"
phase snapshot
SNAPSHOT_ID=$(aws ec2 create-snapshot --volume-id "$VOLUME_ID" --description "before ECS" \
  --query SnapshotId --output text)
aws ec2 wait snapshot-completed --snapshot-ids "$SNAPSHOT_ID"
phase detach
aws ec2 detach-volume --volume-id "$VOLUME_ID" --instance-id "$SOURCE_INSTANCE_ID" > /dev/null
aws ec2 wait volume-available --volume-ids "$VOLUME_ID"
phase tag
aws ec2 create-tags --resources "$VOLUME_ID" --tags "Key=Name,Value=$VOLUME_NAME"
phase start
aws ecs update-service --cluster "$CLUSTER" --service "$SERVICE" --desired-count 1 > /dev/null
aws ecs wait services-stable --cluster "$CLUSTER" --services "$SERVICE"
phase end
