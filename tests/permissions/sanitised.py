"""What was asked of a policy, without the ids of one sandbox."""


def sanitised(asked, migration):
    return asked
