<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<!-- Probabilities from 0 to 1 in the colours of viridis: for a band of a raster of csp_ext_raster. -->
<qgis version="3.22" styleCategories="Symbology">
  <pipe>
    <rasterrenderer type="singlebandpseudocolor" band="1" opacity="1" classificationMin="0" classificationMax="1" alphaBand="-1" nodataColor="">
      <rastershader>
        <colorrampshader colorRampType="INTERPOLATED" classificationMode="1" minimumValue="0" maximumValue="1" clip="0">
          <item value="0.0" label="0.0" color="#440154" alpha="255"/>
          <item value="0.1" label="0.1" color="#482474" alpha="255"/>
          <item value="0.2" label="0.2" color="#404286" alpha="255"/>
          <item value="0.3" label="0.3" color="#355f8c" alpha="255"/>
          <item value="0.4" label="0.4" color="#2a788e" alpha="255"/>
          <item value="0.5" label="0.5" color="#22908c" alpha="255"/>
          <item value="0.6" label="0.6" color="#28a883" alpha="255"/>
          <item value="0.7" label="0.7" color="#46be6f" alpha="255"/>
          <item value="0.8" label="0.8" color="#7cd14f" alpha="255"/>
          <item value="0.9" label="0.9" color="#bcdf2a" alpha="255"/>
          <item value="1.0" label="1.0" color="#fde725" alpha="255"/>
        </colorrampshader>
      </rastershader>
    </rasterrenderer>
  </pipe>
</qgis>
