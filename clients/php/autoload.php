<?php

/** Loads the classes of this package, for projects without Composer. */

declare(strict_types=1);

spl_autoload_register(static function (string $class): void {
    $folders = ['Tagcast\\Client\\' => __DIR__ . '/src/', 'Gomoob\\WebSocket\\' => __DIR__ . '/gomoob/'];
    foreach ($folders as $prefix => $folder) {
        $file = $folder . strtr(substr($class, strlen($prefix)), '\\', '/') . '.php';
        if (str_starts_with($class, $prefix) && is_file($file)) {
            require $file;
        }
    }
});
