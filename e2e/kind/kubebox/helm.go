package main

import (
	"errors"
	"os"

	helmcmd "helm.sh/helm/v4/pkg/cmd"
	"helm.sh/helm/v4/pkg/kube"
)

// helm is no part of a node: it is here because it shares most of its code with what is.
func helm(args []string) int {
	kube.ManagedFieldsManager = "helm"
	command, err := helmcmd.NewRootCmd(os.Stdout, args, helmcmd.SetupLogging)
	if err != nil {
		return report(err)
	}
	err = command.Execute()
	var failed helmcmd.CommandError
	if errors.As(err, &failed) {
		return failed.ExitCode
	}
	return report(err)
}
