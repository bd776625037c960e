module rhone/agent

go 1.26
