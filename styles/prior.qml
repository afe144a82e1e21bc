<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<!-- Probabilities in ten classes, in the colours of viridis: for the column probability of a layer of csp_ext. -->
<qgis version="3.22" styleCategories="Symbology">
  <renderer-v2 type="graduatedSymbol" attr="probability" graduatedMethod="GraduatedColor" symbollevels="0" enableorderby="0" forceraster="0">
    <ranges>
      <range symbol="0" lower="0.0" upper="0.1" label="0.0 - 0.1" render="true"/>
      <range symbol="1" lower="0.1" upper="0.2" label="0.1 - 0.2" render="true"/>
      <range symbol="2" lower="0.2" upper="0.3" label="0.2 - 0.3" render="true"/>
      <range symbol="3" lower="0.3" upper="0.4" label="0.3 - 0.4" render="true"/>
      <range symbol="4" lower="0.4" upper="0.5" label="0.4 - 0.5" render="true"/>
      <range symbol="5" lower="0.5" upper="0.6" label="0.5 - 0.6" render="true"/>
      <range symbol="6" lower="0.6" upper="0.7" label="0.6 - 0.7" render="true"/>
      <range symbol="7" lower="0.7" upper="0.8" label="0.7 - 0.8" render="true"/>
      <range symbol="8" lower="0.8" upper="0.9" label="0.8 - 0.9" render="true"/>
      <range symbol="9" lower="0.9" upper="1.0" label="0.9 - 1.0" render="true"/>
    </ranges>
    <symbols>
      <symbol type="fill" name="0" alpha="1" clip_to_extent="1" force_rhr="0">
        <layer class="SimpleFill" enabled="1" locked="0" pass="0">
          <prop k="color" v="68,1,84,255"/>
          <prop k="outline_style" v="no"/>
          <prop k="style" v="solid"/>
        </layer>
      </symbol>
      <symbol type="fill" name="1" alpha="1" clip_to_extent="1" force_rhr="0">
        <layer class="SimpleFill" enabled="1" locked="0" pass="0">
          <prop k="color" v="72,40,120,255"/>
          <prop k="outline_style" v="no"/>
          <prop k="style" v="solid"/>
        </layer>
      </symbol>
      <symbol type="fill" name="2" alpha="1" clip_to_extent="1" force_rhr="0">
        <layer class="SimpleFill" enabled="1" locked="0" pass="0">
          <prop k="color" v="62,73,137,255"/>
          <prop k="outline_style" v="no"/>
          <prop k="style" v="solid"/>
        </layer>
      </symbol>
      <symbol type="fill" name="3" alpha="1" clip_to_extent="1" force_rhr="0">
        <layer class="SimpleFill" enabled="1" locked="0" pass="0">
          <prop k="color" v="49,104,142,255"/>
          <prop k="outline_style" v="no"/>
          <prop k="style" v="solid"/>
        </layer>
      </symbol>
      <symbol type="fill" name="4" alpha="1" clip_to_extent="1" force_rhr="0">
        <layer class="SimpleFill" enabled="1" locked="0" pass="0">
          <prop k="color" v="38,130,142,255"/>
          <prop k="outline_style" v="no"/>
          <prop k="style" v="solid"/>
        </layer>
      </symbol>
      <symbol type="fill" name="5" alpha="1" clip_to_extent="1" force_rhr="0">
        <layer class="SimpleFill" enabled="1" locked="0" pass="0">
          <prop k="color" v="31,158,137,255"/>
          <prop k="outline_style" v="no"/>
          <prop k="style" v="solid"/>
        </layer>
      </symbol>
      <symbol type="fill" name="6" alpha="1" clip_to_extent="1" force_rhr="0">
        <layer class="SimpleFill" enabled="1" locked="0" pass="0">
          <prop k="color" v="53,183,121,255"/>
          <prop k="outline_style" v="no"/>
          <prop k="style" v="solid"/>
        </layer>
      </symbol>
      <symbol type="fill" name="7" alpha="1" clip_to_extent="1" force_rhr="0">
        <layer class="SimpleFill" enabled="1" locked="0" pass="0">
          <prop k="color" v="110,206,88,255"/>
          <prop k="outline_style" v="no"/>
          <prop k="style" v="solid"/>
        </layer>
      </symbol>
      <symbol type="fill" name="8" alpha="1" clip_to_extent="1" force_rhr="0">
        <layer class="SimpleFill" enabled="1" locked="0" pass="0">
          <prop k="color" v="181,222,43,255"/>
          <prop k="outline_style" v="no"/>
          <prop k="style" v="solid"/>
        </layer>
      </symbol>
      <symbol type="fill" name="9" alpha="1" clip_to_extent="1" force_rhr="0">
        <layer class="SimpleFill" enabled="1" locked="0" pass="0">
          <prop k="color" v="253,231,37,255"/>
          <prop k="outline_style" v="no"/>
          <prop k="style" v="solid"/>
        </layer>
      </symbol>
    </symbols>
  </renderer-v2>
  <layerGeometryType>2</layerGeometryType>
</qgis>
