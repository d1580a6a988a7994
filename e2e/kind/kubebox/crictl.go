package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	api "k8s.io/cri-api/pkg/apis"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
	client "k8s.io/cri-client/pkg"
)

const containerdSocket = "unix:///run/containerd/containerd.sock"

// crictl answers the two questions that kind puts to a node: is this image there ("inspecti", by kind load), and which
// images are there ("images", by kind export logs).
func crictl(ctx context.Context, args []string) error {
	images, err := client.NewRemoteImageService(containerdSocket, 10*time.Second, nil, nil)
	if err != nil {
		return err
	}
	if len(args) == 2 && args[0] == "inspecti" {
		return inspectImage(ctx, images, args[1])
	}
	if len(args) == 1 && args[0] == "images" {
		return listImages(ctx, images)
	}
	return errors.New("this crictl knows: inspecti IMAGE, images")
}

func inspectImage(ctx context.Context, images api.ImageManagerService, name string) error {
	answer, err := images.ImageStatus(ctx, &runtime.ImageSpec{Image: name}, false)
	if err != nil {
		return err
	}
	if answer.Image == nil {
		return fmt.Errorf("no such image %q present", name)
	}
	status := map[string]any{
		"id":          answer.Image.Id,
		"repoTags":    answer.Image.RepoTags,
		"repoDigests": answer.Image.RepoDigests,
		"size":        strconv.FormatUint(answer.Image.Size, 10),
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"status": status})
}

func listImages(ctx context.Context, images api.ImageManagerService) error {
	all, err := images.ListImages(ctx, nil)
	for _, image := range all {
		fmt.Println(image.Id, image.Size, image.RepoTags)
	}
	return err
}
