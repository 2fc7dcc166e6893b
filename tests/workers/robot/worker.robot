*** Comments ***
A robot as its manual shows it; all it does is to tell the sink which task it works on, and to end it as the task's
variable `fate` says: "fails" once and is completed then, "declined" is a BPMN error, nothing completes it.

usage: python3 -m robot --variable HOST:URL --variable TOPIC:TOPIC --variable SINK:URL worker.robot
HOST is the base URL without `/engine-rest`, which the library appends.


*** Settings ***
Library     CamundaLibrary    ${HOST}


*** Variables ***
${WISH}     as the task wished


*** Tasks ***
Work For Ever
    Set Task Lock Duration    10000
    WHILE    True    limit=NONE
        TRY
            Work Once
        EXCEPT    AS    ${error}
            Log To Console    ${error}
            Drop Fetch Response
            Sleep    1s
        END
    END


*** Keywords ***
Work Once
    ${variables}    Fetch Workload    ${TOPIC}    async_response_timeout=${10000}
    ${task}    Get Fetch Response
    IF    not $task    RETURN
    Tell    ${task}[id]
    ${fate}    Evaluate    $variables.get("fate")
    IF    $fate == "declined"
        Throw Bpmn Error    declined    ${WISH}
    ELSE IF    $fate == "fails" and $task["retries"] is None
        Notify Failure    retries=${1}    retry_timeout=${1}    error_message=not yet    error_details=${WISH}
    ELSE
        ${result}    Create Dictionary    by=robot
        Complete Task    ${result}
    END

Tell
    [Arguments]    ${id}
    Evaluate
    ...    urllib.request.urlopen(urllib.request.Request($SINK + "/robot/" + $id, method="POST"), timeout=30).close()
    ...    modules=urllib.request
